import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeCliOptions, fakeCli, Refuse, scriptedGateway } from '../../test/support/fake-cli-env.ts';
import type { OpenSocket } from '../client/socket.ts';
import { forProfile } from './format/fix.ts';
import { width } from './format/text.ts';
import { summaries } from './help-zh.ts';
import { COMMANDS, GLOBAL_FLAGS } from './program.ts';
import { run } from './run.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'oc-cli-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const cli = (options: FakeCliOptions = {}) => fakeCli({ ...options, vars: { OPENCLAW_STATE_DIR: dir, HOME: dir, ...options.vars } });
const config = (text: string): void => writeFileSync(join(dir, 'openclaw.json'), text, { mode: 0o600 });
/** As if a gateway of this state dir had made its socket. */
const socketFile = (): void => {
  mkdirSync(join(dir, 'gateway'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'admin.sock'), '');
};
const healthy = { health: { ok: true, agents: [{ agentId: 'main', isDefault: true }], sessions: { count: 2, recent: [] } } };

describe('CL-20 command line', () => {
  test('CL-20 --version, -V and -v print the version alone', async () => {
    for (const flag of ['--version', '-V', '-v']) {
      const t = cli();
      expect(await t.run(flag)).toBe(0);
      expect(t.out()).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
    }
  });

  test('CL-26 a bug of ours is one line that says what to do, and its stack only where that was asked for', async () => {
    for (const debug of [false, true]) {
      const t = cli({ vars: debug ? { OPENCLAW_LOG_LEVEL: 'debug' } : {} });
      const env = {
        ...t.env,
        stdout: {
          ...t.env.stdout,
          write: () => {
            throw new TypeError('not a function: Bearer abcdefghijkl');
          },
        },
      };
      expect(await run(['config', 'file'], env)).toBe(1);
      expect(t.err()).toContain(debug ? 'Report the lines above' : 'OPENCLAW_LOG_LEVEL=debug');
      expect(/^ {4}at /m.test(t.err())).toBe(debug);
    }
  });

  test('CL-20 CL-30 --help lists every command and the exit codes; each command has its own help', async () => {
    const t = cli();
    expect(await t.run('--help')).toBe(0);
    for (const { path } of COMMANDS) expect(t.out()).toContain(path.join(' '));
    expect(t.out()).toContain('Exit codes');
    for (const command of COMMANDS) {
      expect(await t.run(...command.path, '--help')).toBe(0);
      expect(t.out().replace(/\s+/g, ' ')).toContain(command.summary);
      for (const { name, hidden } of command.flags) if (hidden !== true) expect(t.out()).toContain(`--${name}`);
    }
  });

  test.each([
    [['helth'], 'openclaw health'],
    [['devices', 'aprove'], 'openclaw devices approve'],
    [['gateway', 'stauts'], 'openclaw gateway status'],
    [['health', '--tokn', 'x'], '--token'],
    [['status', '--dep'], '--deep'],
  ])('CL-20 %j is wrong usage: exit 2 and what was meant', async (argv, meant) => {
    const t = cli();
    expect(await t.run(...argv)).toBe(2);
    expect(t.err()).toContain(meant);
    expect(t.out()).toBe('');
  });

  test.each([
    [['health', '--timeout', 'soon']],
    [['health', '--timeout']],
    [['health', '--token', '--url']],
    [['health', 'extra']],
    [['health', '--json=yes']],
    [['gateway', '--bind', 'everywhere']],
    [['health', '--url', 'ws://127.0.0.1', '--url', 'ws://127.0.0.1']],
    [['--nonsense']],
  ])('CL-20 %j is wrong usage', async (argv) => {
    expect(await cli().run(...argv)).toBe(2);
  });

  test('CL-20 global flags stand anywhere; every alias is its command', async () => {
    socketFile();
    const gateway = scriptedGateway({ ...healthy, 'sessions.list': { sessions: [] } });
    const t = cli({ openSocket: gateway.openSocket });
    expect(await t.run('--json', 'health')).toBe(0);
    expect(t.json()).toMatchObject({ ok: true });
    expect(await t.run('gateway', 'health', '--json')).toBe(0);
    expect(await t.run('sessions', '--json')).toBe(0);
    expect(gateway.asked.at(-1)?.method).toBe('sessions.list');
  });

  test('CL-20 the table is sound: no path, alias or flag twice', () => {
    const names = COMMANDS.flatMap(({ path, aliases }) => [path.join(' '), ...(aliases ?? [])]);
    expect(new Set(names).size).toBe(names.length);
    for (const { flags, path } of COMMANDS) expect(new Set(flags.map(({ name }) => name)).size, path.join(' ')).toBe(flags.length);
  });
});

describe('CL-21 JSON', () => {
  test('CL-21 a failure is one JSON value on stdout with code, message and fix', async () => {
    const t = cli();
    expect(await t.run('health', '--json')).toBe(3);
    expect(t.json()).toMatchObject({ ok: false, error: { code: 'GATEWAY_UNREACHABLE', fix: 'openclaw gateway run' } });
    expect(t.err()).toBe('');
  });

  test('CL-21 wrong usage too', async () => {
    const t = cli();
    expect(await t.run('helth', '--json')).toBe(2);
    expect(t.json()).toMatchObject({ ok: false, error: { code: 'USAGE' } });
  });

  test('CL-21 no colour in JSON, in a pipe, with --no-color or NO_COLOR', async () => {
    socketFile();
    const { openSocket } = scriptedGateway(healthy);
    const colour = '\u001b[';
    const seen: Record<string, boolean> = {};
    for (const [name, options, argv] of [
      ['terminal', { isTTY: true }, []],
      ['json', { isTTY: true }, ['--json']],
      ['pipe', {}, []],
      ['flag', { isTTY: true }, ['--no-color']],
      ['variable', { isTTY: true, vars: { NO_COLOR: '1' } }, []],
    ] as const) {
      const t = cli({ openSocket, ...options });
      await t.run('health', ...argv);
      seen[name] = t.out().includes(colour);
    }
    expect(seen).toEqual({ terminal: true, json: false, pipe: false, flag: false, variable: false });
  });
});

describe('CL-22 which gateway', () => {
  const asked = async (vars: Record<string, string>, ...argv: string[]) => {
    const gateway = scriptedGateway(healthy);
    const t = cli({ openSocket: gateway.openSocket, vars });
    const code = await t.run('health', ...argv);
    const first = gateway.asked[0];
    const auth = (gateway.asked.find(({ method }) => method === 'connect')?.params as Record<string, unknown> | undefined)?.['auth'];
    return { code, door: first?.door, url: first?.url, auth, err: t.err() };
  };

  test('CL-22 the admin socket when it is there', async () => {
    socketFile();
    expect(await asked({})).toMatchObject({ code: 0, door: 'admin', url: join(dir, 'gateway', 'admin.sock') });
  });

  test('CL-22 the local URL with the port of flag-less sources: environment, config, default', async () => {
    expect(await asked({})).toMatchObject({ door: 'ws', url: 'ws://127.0.0.1:18789/' });
    config('{ gateway: { port: 28789 } }');
    expect(await asked({})).toMatchObject({ url: 'ws://127.0.0.1:28789/' });
    expect(await asked({ OPENCLAW_GATEWAY_PORT: '28790' })).toMatchObject({ url: 'ws://127.0.0.1:28790/' });
  });

  test('CL-22 mode remote, the snippet of every guide pasted verbatim; the admin socket is not touched', async () => {
    socketFile();
    config(`{
  gateway: {
    mode: "remote",
    remote: {
      url: "ws://127.0.0.1:18789",
      token: "your-token",
    },
  },
}`);
    expect(await asked({})).toMatchObject({ code: 0, door: 'ws', url: 'ws://127.0.0.1:18789/', auth: { token: 'your-token' } });
  });

  test('CL-22 OPENCLAW_GATEWAY_URL beats the config, --url beats both', async () => {
    socketFile();
    config('{ gateway: { mode: "remote", remote: { url: "wss://config.example", token: "config-token" } } }');
    const vars = { OPENCLAW_GATEWAY_URL: 'wss://env.example', OPENCLAW_GATEWAY_TOKEN: 'env-token' };
    expect(await asked(vars)).toMatchObject({ url: 'wss://env.example:443/', auth: { token: 'env-token' } });
    expect(await asked(vars, '--url', 'wss://cli.example', '--token', 'cli-token')).toMatchObject({
      url: 'wss://cli.example:443/',
      auth: { token: 'cli-token' },
    });
  });

  test('CL-23 --url without --token or --password is refused before any connection', async () => {
    socketFile();
    config('{ gateway: { auth: { token: "config-token-config-token" } } }');
    const { code, door, err } = await asked({ OPENCLAW_GATEWAY_TOKEN: 'env-token-env-token-env' }, '--url', 'wss://claw.example');
    expect({ code, door }).toEqual({ code: 2, door: undefined });
    expect(err).toContain('--token');
    expect(err).toContain('explicit credentials');
    expect(err).not.toContain('env-token');
  });

  test('CL-23 OPENCLAW_GATEWAY_URL takes nothing from the config', async () => {
    config('{ gateway: { auth: { token: "config-token-config-token" } } }');
    expect(await asked({ OPENCLAW_GATEWAY_URL: 'wss://claw.example' })).toMatchObject({ code: 2, door: undefined });
  });

  test('CL-24 plain ws:// to elsewhere is refused before any connection; to an own address it is not', async () => {
    const refused = await asked({}, '--url', 'ws://claw.example:18789', '--token', 't');
    expect(refused).toMatchObject({ code: 1, door: undefined });
    expect(refused.err).toContain('SECURITY ERROR:');
    expect(await asked({}, '--url', 'ws://192.0.2.7:18789', '--token', 't')).toMatchObject({ code: 0, door: 'ws' });
  });

  test('CL-25 an explicit token goes by URL, also where the admin socket is', async () => {
    socketFile();
    expect(await asked({ OPENCLAW_GATEWAY_TOKEN: 'env-token' }, '--token', 'typed')).toMatchObject({
      door: 'ws',
      auth: { token: 'typed' },
    });
  });

  test('CL-22 a socket file that nobody listens on leads to the URL', async () => {
    socketFile();
    const gateway = scriptedGateway(healthy, { doors: ['ws'] });
    const t = cli({ openSocket: gateway.openSocket });
    expect(await t.run('health')).toBe(0);
    expect(gateway.asked[0]?.door).toBe('ws');
  });

  test('CL-22 mode remote without a URL names the key and both ways out', async () => {
    config('{ gateway: { mode: "remote" } }');
    const { code, err } = await asked({});
    expect(code).toBe(1);
    expect(err).toContain('gateway.remote.url');
    expect(err).toContain('openclaw config set gateway.mode local');
  });
});

describe('CL-26 CL-30 errors', () => {
  test.each([
    ['AUTH_TOKEN_MISMATCH', 4, 'openclaw auth explain'],
    ['AUTH_TOKEN_MISSING', 4, 'OPENCLAW_GATEWAY_TOKEN'],
    ['AUTH_PASSWORD_MISMATCH', 4, 'openclaw auth explain'],
    ['AUTH_RATE_LIMITED', 4, 'Wait'],
    ['DEVICE_IDENTITY_REQUIRED', 4, 'openclaw devices'],
    ['PROTOCOL_MISMATCH', 4, 'openclaw --version'],
  ])('CL-26 %s ends with exit %i and its fix', async (code, exit, fix) => {
    const { openSocket } = scriptedGateway({
      connect: new Refuse({ code: 'INVALID_REQUEST', message: 'unauthorized', details: { code } }),
    });
    const t = cli({ openSocket });
    expect(await t.run('health', '--json')).toBe(exit);
    const { error } = t.json() as { error: { code: string; fix: string } };
    expect(error.code).toBe(code);
    expect(error.fix).toContain(fix);
  });

  test.each([
    [{ errno: 'ECONNREFUSED' }, 'nothing listens on 127.0.0.1:28789', 'ssh -N -L 28789:127.0.0.1:18789 user@host'],
    [{ errno: 'ECONNRESET' }, '127.0.0.1:28789 hung up at once', "On the gateway's machine: openclaw gateway status"],
    [{ errno: 'HPE_INVALID_CONSTANT' }, 'it does not speak HTTP', 'Another program holds port 28789'],
    [{ httpStatus: 404 }, 'answered HTTP 404', 'Another program holds port 28789'],
  ])('CL-26 %j in words, with the fix for that port', async (close, said, fix) => {
    const openSocket: OpenSocket = (_endpoint, events) => {
      queueMicrotask(() => events.closed({ code: 1006, reason: '', error: 'as the system says it', ...close }));
      return { send: () => {}, close: () => {}, bufferedAmount: 0 };
    };
    const t = cli({ openSocket });
    expect(await t.run('health', '--url', 'ws://127.0.0.1:28789', '--token', 'x', '--json')).toBe(3);
    const { error } = t.json() as { error: { code: string; message: string; fix: string } };
    expect(error).toMatchObject({ code: 'GATEWAY_UNREACHABLE', message: expect.stringContaining(said), fix: expect.stringContaining(fix) });
    expect(error.message).not.toContain('as the system says it');
  });

  test.each([
    [{ errno: 'EPROTO' }, 'does not speak TLS', 'ws://127.0.0.1:28789'],
    [{ errno: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'is not trusted', 'gateway.remote.tlsFingerprint'],
  ])('CL-26 TLS: %j', async (close, said, fix) => {
    const openSocket: OpenSocket = (_endpoint, events) => {
      queueMicrotask(() => events.closed({ code: 1006, reason: '', error: 'self-signed certificate', ...close }));
      return { send: () => {}, close: () => {}, bufferedAmount: 0 };
    };
    const t = cli({ openSocket });
    expect(await t.run('health', '--url', 'wss://127.0.0.1:28789', '--token', 'x')).toBe(3);
    expect(t.err()).toContain(said);
    expect(t.err()).toContain(fix);
  });

  test('CL-26 which gateway was meant, and why that one, stands below', async () => {
    const t = cli();
    await t.run('health');
    expect(t.err()).toContain('Gateway target: ws://127.0.0.1:18789/');
    expect(t.err()).toContain('Source: local loopback');
    expect(t.err()).toContain(`Config: ${join(dir, 'openclaw.json')}`);
    expect(t.err()).toContain('Bind: loopback');
  });

  test('CL-26 text of a gateway cannot move the cursor', async () => {
    const { openSocket } = scriptedGateway({
      connect: new Refuse({ code: 'INVALID_REQUEST', message: 'no\u001b[2J\u001b]0;owned\u0007\u202e' }),
    });
    const t = cli({ openSocket });
    await t.run('health');
    expect(t.err()).not.toMatch(/[\u001b\u0007\u202e]/);
  });

  test('CL-26 a wrong config value that guards access stops a command; another does not', async () => {
    socketFile();
    const { openSocket } = scriptedGateway(healthy);
    config('{ gateway: { mode: "remote", remote: { url: 5 } } }');
    const t = cli({ openSocket });
    expect(await t.run('health')).toBe(1);
    expect(t.err()).toContain('gateway.remote.url');
  });

  test('CL-27 while a device waits for approval the secret alone goes on, and the command to approve is said', async () => {
    let connects = 0;
    const { openSocket, asked } = scriptedGateway({
      'sessions.list': { sessions: [] },
      connect: () =>
        ++connects === 1
          ? new Refuse({ code: 'NOT_PAIRED', message: 'pairing required', details: { code: 'PAIRING_REQUIRED', requestId: 'r-1' } })
          : { type: 'hello-ok', protocol: 4 },
    });
    const t = cli({ openSocket, vars: { OPENCLAW_GATEWAY_TOKEN: 'secret' } });
    expect(await t.run('sessions')).toBe(0);
    const params = asked.filter(({ method }) => method === 'connect').map((one) => one.params as Record<string, unknown>);
    expect(params.map((one) => Object.hasOwn(one, 'device'))).toEqual([true, false]);
    expect(t.err()).toContain('openclaw devices approve r-1');
  });
});

describe('CL-53 what a connection asks for', () => {
  const connectsOf = async (script: Record<string, unknown>, argv: string[], files: () => void = () => {}) => {
    files();
    const { openSocket, asked } = scriptedGateway(script);
    const t = cli({ openSocket, vars: { OPENCLAW_GATEWAY_TOKEN: 'secret-secret-secret-secret' } });
    await t.run(...argv);
    return asked.filter(({ method }) => method === 'connect').map(({ params }) => params as Record<string, unknown>);
  };

  test.each([[['sessions']], [['agent', '-m', 'hi']], [['models']], [['logs']]])(
    'CL-53 %j asks for read and write and names the machine, so that its request for approval stays the same',
    async (argv) => {
      const [connect] = await connectsOf({}, argv);
      expect(connect).toMatchObject({ scopes: ['operator.read', 'operator.write'], client: { displayName: hostname() } });
      expect(connect).toHaveProperty('device');
    },
  );

  test.each([[['devices']], [['sessions', 'reset', 'x']], [['gateway', 'call', 'health']]])('CL-53 %j manages', async (argv) => {
    const [connect] = await connectsOf({}, argv);
    expect(connect?.['scopes']).toEqual(['operator.admin']);
  });

  test('CL-53 looking shows no device that the gateway has not approved, where the secret opens by itself', async () => {
    await connectsOf({}, ['sessions']);
    for (const argv of [['health'], ['status', '--deep'], ['gateway', 'status'], ['gateway', 'probe']]) {
      const connects = await connectsOf(healthy, argv);
      expect(connects.length, argv.join(' ')).toBeGreaterThan(0);
      for (const connect of connects) expect(connect, argv.join(' ')).not.toHaveProperty('device');
    }
  });
});

describe('CL-54 what is printed to be pasted', () => {
  test('CL-54 a command carries the profile that it was said about', async () => {
    const t = cli({ vars: { OPENCLAW_STATE_DIR: undefined } });
    expect(await t.run('--profile', 'work', 'health')).toBe(3);
    expect(t.err()).toContain('openclaw --profile work gateway run');
    expect(await t.run('--dev', 'health', '--json')).toBe(3);
    expect(t.json()).toMatchObject({ error: { fix: 'openclaw --dev gateway run' } });
  });

  test('CL-54 what is to be typed elsewhere knows nothing of profiles here', () => {
    expect(forProfile("On the gateway's machine: openclaw devices approve", '--dev')).not.toContain('--dev');
    expect(forProfile('openclaw gateway run', '')).toBe('openclaw gateway run');
  });

  test('CL-54 the command has its line for itself, what is to be known stands below', async () => {
    const t = cli();
    expect(await t.run('health', '--url', 'ws://127.0.0.1:28789', '--token', 'x')).toBe(3);
    expect(t.err()).toMatch(/^ {2}Fix: ssh -N -L 28789:127\.0\.0\.1:18789 user@host$/m);
  });

  test('CL-20 nothing is suggested that was hardly meant', async () => {
    const t = cli();
    expect(await t.run('bogus')).toBe(2);
    expect(t.err()).toContain('Fix: openclaw --help');
  });

  test('CL-21 a colour chosen for the terminal does not go into a file beside it', async () => {
    const t = cli({ isTTY: true });
    const env = { ...t.env, stderr: { ...t.env.stderr, isTTY: false } };
    await run(['health'], env);
    expect(t.err()).toContain('Error:');
    expect(t.err()).not.toContain('\u001b');
  });
});

describe('CL-28 language', () => {
  test('CL-28 Chinese where the system says so', async () => {
    const t = cli({ vars: { LANG: 'zh_CN.UTF-8' } });
    expect(await t.run('health')).toBe(3);
    expect(t.err()).toContain('错误：');
    expect(t.err()).toContain('解决：');
    expect(await t.run('health', '--json')).toBe(3);
    expect(t.json()).toMatchObject({ error: { code: 'GATEWAY_UNREACHABLE' } });
  });
});

test('CL-28 every command and flag that is shown says in Chinese what it is for', () => {
  const all = [...GLOBAL_FLAGS, ...COMMANDS, ...COMMANDS.flatMap(({ flags }) => flags.filter(({ hidden }) => hidden !== true))];
  const english = [...new Set(all.map(({ summary }) => summary))];
  expect(english.filter((summary) => summaries[summary] === undefined)).toEqual([]);
  expect(Object.keys(summaries).filter((summary) => !english.includes(summary))).toEqual([]);
});

test('CL-20 help fits the terminal, and is data with --json', async () => {
  for (const columns of [40, 80, 200]) {
    const t = cli();
    const env = { ...t.env, stdout: { ...t.env.stdout, columns } };
    for (const argv of [['--help'], ['devices', '--help'], ['gateway', '--help']]) await run(argv, env);
    const longest = Math.max(
      ...t
        .out()
        .split('\n')
        // Names, flags and what is to be typed stay whole.
        .filter((line) => !/--|[<|]|printf|ocg_/.test(line))
        .map(width),
    );
    expect(longest).toBeLessThanOrEqual(Math.min(columns + 4, 110));
  }
  const t = cli();
  expect(await t.run('health', '--help', '--json')).toBe(0);
  expect(t.json()).toMatchObject({ ok: true, commands: [{ command: 'health' }] });
});

describe('CL-29 completion', () => {
  test.each(['bash', 'zsh', 'fish', 'powershell'])('CL-29 %s knows every command', async (shell) => {
    const t = cli();
    expect(await t.run('completion', shell)).toBe(0);
    for (const { path } of COMMANDS) expect(t.out()).toContain(path.at(-1));
    expect(t.out()).not.toContain('--ws-log');
  });

  test('CL-29 bash reads the script and completes', async () => {
    const t = cli();
    await t.run('completion', 'bash');
    const complete = (line: string): string[] => {
      const words = line.split(' ');
      const script = `${t.out()}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _openclaw; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' }).trim().split('\n');
    };
    expect(complete('openclaw hea')).toEqual(['health']);
    expect(complete('openclaw devices ap')).toEqual(['approve']);
    expect(complete('openclaw devices approve --la')).toEqual(['--latest']);
    expect(complete('openclaw --json status --de')).toContain('--deep');
  });
});
