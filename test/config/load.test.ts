import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadConfig } from '../../config/load.ts';
import { ConfigError } from '../../config/mistakes.ts';
import type { Config } from '../../config/options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

describe('config/load', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'posthorn-config-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function load(toml?: string, environment: Environment = {}): Config {
    if (toml !== undefined) writeFileSync(join(directory, 'posthorn.toml'), toml);
    return loadConfig({
      environment,
      workingDirectory: directory,
      systemFile: join(directory, 'etc', 'posthorn.toml'),
    });
  }

  function refusal(toml?: string, environment: Environment = {}): string[] {
    try {
      load(toml, environment);
    } catch (error) {
      if (error instanceof ConfigError) return error.message.split('\n');
      throw error;
    }
    return [];
  }

  describe('defaults', () => {
    it('needs no file', () => {
      const config = load();
      expect(config.file).to.equal(undefined);
      expect(config.domains).to.deep.equal(['localhost']);
      expect(config.dataDirectory).to.equal(join(directory, 'data'));
      expect(config.tls.certificatesDirectory).to.equal(join(directory, 'data', 'certificates'));
      expect(config.admin.controlSocket).to.equal(join(directory, 'data', 'control.sock'));
      expect(config.c2s).to.include({ port: 5222, tlsPort: 5223, allowPlaintextAuthentication: false });
      expect(config.operations.address).to.equal('127.0.0.1');
    });

    it('are the same for an empty file', () => {
      const without = load();
      expect({ ...load(''), file: undefined }).to.deep.equal(without);
    });

    it('are frozen, and no two configurations share them', () => {
      const config = load();
      for (const value of [config, config.c2s, config.c2s.addresses, config.tls.certificates]) {
        expect(value).to.be.frozen;
      }
      expect(config.c2s.addresses).not.to.equal(load().c2s.addresses);
    });
  });

  describe('files', () => {
    it('reads ./posthorn.toml, and the file of the system only where that is missing', () => {
      mkdirSync(join(directory, 'etc'));
      writeFileSync(join(directory, 'etc', 'posthorn.toml'), 'domains = ["montague.example"]');
      expect(load().domains).to.deep.equal(['montague.example']);
      expect(load('domains = ["capulet.example"]').domains).to.deep.equal(['capulet.example']);
    });

    it('reads the named file before POSTHORN_CONFIG, and that before any other', () => {
      for (const name of ['named', 'variable', 'posthorn']) {
        writeFileSync(join(directory, `${name}.toml`), `domains = ["${name}.example"]`);
      }
      const environment = { POSTHORN_CONFIG: 'variable.toml' };
      const source = { environment, workingDirectory: directory };
      expect(loadConfig(source).domains).to.deep.equal(['variable.example']);
      expect(loadConfig({ ...source, file: 'named.toml' }).domains).to.deep.equal(['named.example']);
      expect(loadConfig({ ...source, file: 'named.toml' }).file).to.equal(join(directory, 'named.toml'));
    });

    it('takes relative paths from the folder of the file', () => {
      mkdirSync(join(directory, 'etc'));
      const certificate = 'domains = ["localhost"]\ncertificate = "c.pem"\nkey = "/k.pem"';
      writeFileSync(
        join(directory, 'etc', 'posthorn.toml'),
        `data_directory = "store"\n[admin]\ncontrol_socket = "run/s"\n[[tls.certificates]]\n${certificate}`,
      );
      const config = load();
      expect(config.dataDirectory).to.equal(join(directory, 'etc', 'store'));
      expect(config.admin.controlSocket).to.equal(join(directory, 'etc', 'store', 'run', 's'));
      expect(config.tls.certificates).to.deep.equal([
        { domains: ['localhost'], certificate: join(directory, 'etc', 'c.pem'), key: '/k.pem' },
      ]);
    });

    it('reads a file with a byte order mark and CRLF', () => {
      expect(load('\ufeffdomains = ["capulet.example"]\r\n[c2s]\r\nport = 1\r\n').c2s.port).to.equal(1);
    });

    it('prepares domains', () => {
      const config = load('domains = ["CAPULET.example.", "xn--fa-hia.example"]');
      expect(config.domains).to.deep.equal(['capulet.example', 'faß.example']);
    });
  });

  describe('mistakes', () => {
    it('are listed all at once, in order, each with its line, what was found and what is allowed', () => {
      const toml = [
        '# the house of Capulet',
        'domains = ["capulet.example", "no host"]',
        'port = 5222',
        '[c2s]',
        'port = "abc"',
        'tls_prot = 5223',
        'addresses = [',
        '  "0.0.0.0",',
        '  "localhost",',
        ']',
        '[[tls.certificates]]',
        'domains = ["capulet.example"]',
        'certificate = "c.pem"',
        '[[tls.certificates]]',
        'domains = []',
        'certficate = "c.pem"',
        'certificate = ""',
        'key = 5',
        '[storage]',
        'durability = "eternal"',
        'backend = { level = true }',
        '[log]',
        'level = 1979-05-27',
      ].join('\n');
      expect(refusal(toml, { POSTHORN_HTTP_PORT: 'many', POSTHORN_HTPP_TLS: 'true' })).to.deep.equal([
        'posthorn.toml:2: domains[1]: found "no host", must be a host name such as "capulet.example", or an IP address',
        'posthorn.toml:3: port: found an unknown option, did you mean c2s.port or s2s.port or http.port or components.port or operations.port?',
        'posthorn.toml:5: c2s.port: found "abc", must be a port from 0 to 65535 (0: any free one), or false for no such listener',
        'posthorn.toml:6: c2s.tls_prot: found an unknown option, did you mean tls_port?',
        'posthorn.toml:9: c2s.addresses[1]: found "localhost", must be an IP address such as "127.0.0.1" or "::"',
        'posthorn.toml:11: tls.certificates[0].key: found nothing, must be the path of a PEM file with the private key',
        'posthorn.toml:15: tls.certificates[1].domains: found [], must be a list of one or more host names',
        'posthorn.toml:16: tls.certificates[1].certficate: found an unknown option, did you mean certificate?',
        'posthorn.toml:17: tls.certificates[1].certificate: found "", must be the path of a PEM file with the certificate, then its intermediates',
        'posthorn.toml:18: tls.certificates[1].key: found 5, must be the path of a PEM file with the private key',
        'posthorn.toml:20: storage.durability: found "eternal", must be "sync" or "process"',
        'posthorn.toml:21: storage.backend: found a table, must be "level" or "memory"',
        'posthorn.toml:23: log.level: found a date, must be "debug", "info", "warn", "error" or "silent"',
        'POSTHORN_HTTP_PORT: http.port: found "many", must be a port from 0 to 65535 (0: any free one), or false for no such listener',
        'POSTHORN_HTPP_TLS: found an unknown option, did you mean POSTHORN_HTTP_TLS?',
      ]);
    });

    const single: readonly (readonly [toml: string, mistake: string])[] = [
      ['domains = []', ':1: domains: found [], must be a list of one or more host names'],
      ['domains = "localhost"', ':1: domains: found "localhost", must be a list of one or more host names'],
      ['domains = ["a.example", "A.example"]', ':1: domains[1]: found "A.example", must be named only once'],
      ['data_directory = ""', ':1: data_directory: found "", must be the path of a folder'],
      ['c2s = 5222', ':1: c2s: found 5222, must be a table'],
      ['c2s.port = 65536', ':1: c2s.port: found 65536, must be a port from 0 to 65535'],
      ['c2s.port = 1.5', ':1: c2s.port: found 1.5, must be a port'],
      ['c2s.port = true', ':1: c2s.port: found true, must be a port'],
      ['c2s.idle_seconds = nan', ':1: c2s.idle_seconds: found NaN, must be a whole number from 10 to 86400'],
      ['c2s.max_stanza_bytes = 9999', ':1: c2s.max_stanza_bytes: found 9999, must be a whole number from 10000 to'],
      ['c2s.resource_conflict = "kill"', ':1: c2s.resource_conflict: found "kill", must be "replace" or "refuse"'],
      ['contacts.abuse = ["nurse"]', ':1: contacts.abuse[0]: found "nurse", must be a URI such as'],
      ['tls.ciphers = "ROT13"', ':1: tls.ciphers: found "ROT13", must be a cipher list that OpenSSL knows'],
      ['tls.min_version = "1.1"', ':1: tls.min_version: found "1.1", must be "1.2" or "1.3"'],
      ['tls.certificates = [{}]', ':1: tls.certificates[0].domains: found nothing, must be'],
      [
        'tls.certificates = 5',
        ':1: tls.certificates: found 5, must be a list of tables with domains, certificate, key',
      ],
      ['http.websocket_path = "ws"', ':1: http.websocket_path: found "ws", must be a path such as'],
      [
        'http.allowed_origins = ["capulet.example"]',
        ':1: http.allowed_origins[0]: found "capulet.example", must be "*" or',
      ],
      [
        'http.allowed_origins = ["https://a.example/"]',
        ':1: http.allowed_origins[0]: found "https://a.example/", must be',
      ],
      ['http.public_url = "ftp://a.example"', ':1: http.public_url: found "ftp://a.example", must be ""'],
      ['operations.address = "::g"', ':1: operations.address: found "::g", must be an IP address'],
      ['sasl.mechanisms = ["DIGEST-MD5"]', ':1: sasl.mechanisms[0]: found "DIGEST-MD5", must be'],
      ['sasl.max_retries = 6', ':1: sasl.max_retries: found 6, must be a whole number from 2 to 5'],
      ['constructor = 1', ':1: found what is no TOML'],
      ['toString = 1', ':1: toString: found an unknown option, must be one of domains, data_directory,'],
      ['log.toString = 1', ':1: log.toString: found an unknown option, must be one of level'],
      ['\n\nc2s = {', ':3: found what is no TOML'],
      ['c2s.port = 1\nc2s.port = 2', ':2: found what is no TOML'],
      [`data_directory = ["${'x'.repeat(500)}"]`, `:1: data_directory: found ["${'x'.repeat(55)}..., must be`],
    ];
    for (const [toml, mistake] of single) {
      it(`finds: ${toml.slice(0, 60).trim()}`, () => {
        const found = refusal(toml);
        expect(found[0]).to.satisfy((line: string) => line.startsWith(`posthorn.toml${mistake}`), found.join('\n'));
      });
    }

    it('name a file that is missing, cannot be read or is not UTF-8', () => {
      const load = (file: string) => () => loadConfig({ environment: {}, workingDirectory: directory, file });
      expect(load('none.toml')).to.throw(ConfigError, 'none.toml: found no such file, must be an existing TOML file');
      expect(load('.')).to.throw(ConfigError, 'cannot be read (EISDIR)');
      writeFileSync(join(directory, 'latin.toml'), Buffer.from('# \xe9', 'latin1'));
      expect(load('latin.toml')).to.throw(ConfigError, 'latin.toml: found bytes that are no UTF-8');
    });

    it('of the environment are listed beside a syntax error of the file', () => {
      const found = refusal('domains = ', { POSTHORN_C2S_PORT: 'x' });
      expect(found).to.have.length(2);
      expect(found[1]).to.match(/^POSTHORN_C2S_PORT: c2s\.port: found "x"/);
    });
  });

  describe('a place to come back to', () => {
    const located = (location: string): string =>
      loadConfig({
        environment: { POSTHORN_C2S_RESUME_LOCATION: location },
        workingDirectory: '/',
        systemFile: '/none',
      }).c2s.resumeLocation;

    it('is a host or an address with a port (RFC 6120 4.9.3.19)', () => {
      for (const good of ['', 'verona.example:5222', '192.0.2.1:1', '[2001:db8::1]:65535']) {
        expect(located(good)).to.equal(good);
      }
      for (const bad of [
        'verona.example',
        ':5222',
        'a:0',
        'a:65536',
        '2001:db8::1:5222',
        '[verona]:1',
        "a'b:1 ",
        'a/b:1',
      ]) {
        expect(() => located(bad), bad).to.throw('host:port');
      }
    });
  });

  describe('contradictions', () => {
    it('are found between ports that listen on one address', () => {
      expect(refusal('[c2s]\nport = 5280\n')).to.deep.equal([
        'posthorn.toml: operations.port: found 5280, must be another port than that of c2s.port, which listens on the same address',
      ]);
      expect(refusal('[operations]\nport = 5222\naddress = "::1"\n')).to.have.length(1);
      expect(refusal('[c2s]\nport = 5280\naddresses = ["192.0.2.1", "::"]\n')).to.deep.equal([]);
      expect(refusal('[c2s]\nport = 0\ntls_port = 0\n[http]\nport = false\n')).to.deep.equal([]);
    });

    it('are found between the two limits of a stanza', () => {
      const found = refusal('[c2s]\nmax_stanza_bytes = 20000\nmax_stanza_bytes_unauthenticated = 20001\n');
      expect(found).to.deep.equal([
        'posthorn.toml:3: c2s.max_stanza_bytes_unauthenticated: found 20001, must be at most c2s.max_stanza_bytes, 20000',
      ]);
    });

    it('names a token rotation that comes after the token has expired', () => {
      expect(refusal('[sasl]\ntoken_days = 2\ntoken_rotation_hours = 48\n')).to.deep.equal([
        'posthorn.toml:3: sasl.token_rotation_hours: found 48, must be less than sasl.token_days, 2, or tokens expire before they are replaced',
      ]);
      expect(
        refusal('[c2s]\nmax_stanza_bytes = 1\n[sasl]\ntoken_days = 0\ntoken_rotation_hours = 48\n'),
      ).to.have.length(1);
    });

    it('are found where some domains have a certificate and others none', () => {
      const domains = 'domains = ["capulet.example", "conference.capulet.example", "montague.example"]\n';
      const names = 'domains = ["capulet.example", "*.capulet.example"]';
      expect(refusal(`${domains}[[tls.certificates]]\n${names}\ncertificate = "c"\nkey = "k"\n`)).to.deep.equal([
        'posthorn.toml:1: domains[2]: found "montague.example", must be among the domains of one of tls.certificates, since some are configured',
      ]);
    });

    it('are not derived from an option that is itself a mistake', () => {
      expect(refusal('[c2s]\nmax_stanza_bytes = 1\nmax_stanza_bytes_unauthenticated = 300000\n')).to.have.length(1);
    });
  });

  describe('environment', () => {
    it('overrides the file', () => {
      const config = load('domains = ["capulet.example"]\n[c2s]\nport = 1\ntls_port = 2\n', {
        POSTHORN_DOMAINS: 'montague.example, verona.example',
        POSTHORN_C2S_PORT: '0',
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_HTTP_TLS: 'false',
        POSTHORN_STORAGE_BACKEND: 'memory',
        POSTHORN_CONTACTS_ABUSE: '["mailto:a,b@verona.example"]',
        POSTHORN_LOG_LEVEL: '',
      });
      expect(config.domains).to.deep.equal(['montague.example', 'verona.example']);
      expect(config.c2s).to.include({ port: 0, tlsPort: 2 });
      expect(config.http).to.include({ port: false, tls: false });
      expect(config.storage.backend).to.equal('memory');
      expect(config.contacts.abuse).to.deep.equal(['mailto:a,b@verona.example']);
      expect(config.log.level).to.equal('info');
    });

    it('gives paths that start from the working directory, and certificates as JSON', () => {
      mkdirSync(join(directory, 'etc'));
      writeFileSync(join(directory, 'etc', 'posthorn.toml'), 'data_directory = "store"');
      const certificates = [{ domains: ['localhost'], certificate: 'c.pem', key: 'k.pem' }];
      const config = load(undefined, {
        POSTHORN_DATA_DIRECTORY: 'here',
        POSTHORN_TLS_CERTIFICATES: JSON.stringify(certificates),
      });
      expect(config.dataDirectory).to.equal(join(directory, 'here'));
      expect(config.tls.certificates[0]?.key).to.equal(join(directory, 'k.pem'));
    });

    it('is blamed by the name of the variable', () => {
      expect(refusal('[sasl]\nmechanisms = ["PLAIN"]', { POSTHORN_SASL_MECHANISMS: 'PLAIN,PLAIN' })).to.deep.equal([
        'POSTHORN_SASL_MECHANISMS: sasl.mechanisms[1]: found "PLAIN", must be named only once',
      ]);
      expect(refusal(undefined, { POSTHORN_C2S_PORT: '0x16' })[0]).to.match(/^POSTHORN_C2S_PORT: .*found "0x16"/);
      expect(refusal(undefined, { POSTHORN_HTTP_TLS: 'yes' })[0]).to.match(/found "yes", must be true or false$/);
      expect(refusal(undefined, { POSTHORN_TLS_CERTIFICATES: '[{' })[0]).to.match(
        /found "\[\{", must be a list of tables/,
      );
    });

    it('may hold variables that a container platform sets beside a service of our name', () => {
      expect(
        refusal(undefined, {
          POSTHORN_SERVICE_HOST: '10.0.0.1',
          POSTHORN_SERVICE_PORT_CLIENTS: '5222',
          POSTHORN_PORT: 'tcp://10.0.0.1:5222',
          POSTHORN_PORT_5222_TCP_ADDR: '10.0.0.1',
          PATH: '/bin',
        }),
      ).to.deep.equal([]);
      expect(refusal(undefined, { POSTHORN_JULIET: 'x' })).to.deep.equal([
        'POSTHORN_JULIET: found a variable of no option; options are listed by "posthorn config reference"',
      ]);
    });
  });
});
