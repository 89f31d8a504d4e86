/** What is there already, or comes later. */
export type Eventual<Value> = Value | Promise<Value>;

/** Goes on with a value as soon as it is there: at once where nobody has to wait for it. */
export function whenThere<Value, Result>(
  value: Eventual<Value>,
  goOn: (value: Value) => Eventual<Result>,
): Eventual<Result> {
  return value instanceof Promise ? value.then(goOn) : goOn(value);
}
