import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

/** Two hosts on one machine: network namespaces with a cable between them, and a private sshd. Needs root, iproute2 and openssh-server. */
export interface TwoHosts extends AsyncDisposable {
  /** The gateway's machine. */
  readonly server: Host;
  /** The laptop. */
  readonly laptop: Host;
}
export interface Host {
  readonly name: string;
  readonly address: string;
  /** Prefix of a command that is to run on this host. */
  readonly on: readonly string[];
}

/** Why these tests cannot run here, with the command that mends it; undefined when they can. */
export function hostsMissing(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are Linux only';
  if (process.getuid?.() !== 0) return 'needs root: sudo npm run test:e2e';
  if (!onPath('ip')) return 'needs iproute2: apt-get install -y iproute2';
  return undefined;
}
export const sshMissing = (): string | undefined =>
  hostsMissing() ?? (existsSync('/usr/sbin/sshd') && onPath('ssh') ? undefined : 'needs sshd: apt-get install -y openssh-server');

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((dir) => existsSync(join(dir, program))) ||
  existsSync(join('/usr/sbin', program)) ||
  existsSync(join('/sbin', program));

const ip = (...args: string[]): void =>
  void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' } });

let next = 0;
export function twoHosts(): TwoHosts {
  const id = `${process.pid % 100_000}x${next++}`;
  const server = { name: `ocs${id}`, address: '10.86.0.1' };
  const laptop = { name: `ocl${id}`, address: '10.86.0.2' };
  const cable = [`s${id}`, `l${id}`] as const;
  ip('netns', 'add', server.name);
  ip('netns', 'add', laptop.name);
  ip('link', 'add', cable[0], 'netns', server.name, 'type', 'veth', 'peer', 'name', cable[1], 'netns', laptop.name);
  for (const [host, dev] of [
    [server, cable[0]],
    [laptop, cable[1]],
  ] as const) {
    ip('-n', host.name, 'link', 'set', 'lo', 'up');
    ip('-n', host.name, 'addr', 'add', `${host.address}/24`, 'dev', dev);
    ip('-n', host.name, 'link', 'set', dev, 'up');
  }
  const withOn = (host: { name: string; address: string }): Host => ({ ...host, on: ['ip', 'netns', 'exec', host.name] });
  return {
    server: withOn(server),
    laptop: withOn(laptop),
    async [Symbol.asyncDispose]() {
      ip('netns', 'delete', server.name);
      ip('netns', 'delete', laptop.name);
    },
  };
}

export interface Sshd extends AsyncDisposable {
  readonly port: number;
  /** Arguments for `ssh` that trust this server alone and log in with the test key. */
  readonly clientArgs: readonly string[];
}

/** A private sshd on `host`: own host key, own authorized key for root and for `user`. Absolute paths: sshd demands them. */
export async function startSshd(host: Host, user?: { name: string; home: string; uid: number }): Promise<Sshd> {
  const dir = mkdtempSync(join(tmpdir(), 'ocsshd-'));
  const keygen = (file: string): void => void execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, file)]);
  keygen('host');
  keygen('client');
  const port = 2222;
  const authorized = join(dir, 'authorized');
  writeFileSync(authorized, execFileSync('cat', [join(dir, 'client.pub')]), { mode: 0o644 });
  execFileSync('chmod', ['755', dir]);
  writeFileSync(join(dir, 'known'), `[${host.address}]:${port} ${execFileSync('cat', [join(dir, 'host.pub')]).toString()}`);
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  writeFileSync(
    join(dir, 'config'),
    [
      `ListenAddress ${host.address}:${port}`,
      `HostKey ${join(dir, 'host')}`,
      `AuthorizedKeysFile ${authorized}`,
      `PidFile ${join(dir, 'pid')}`,
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'UsePAM no',
      'StrictModes no',
      'AllowTcpForwarding yes',
      user === undefined ? '' : `AllowUsers root ${user.name}`,
    ].join('\n'),
  );
  const argv = [...host.on, '/usr/sbin/sshd', '-D', '-f', join(dir, 'config'), '-E', join(dir, 'log')];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: 'ignore' });
  await until(() => existsSync(join(dir, 'pid')));
  return {
    port,
    clientArgs: [
      '-p',
      String(port),
      '-i',
      join(dir, 'client'),
      '-o',
      `UserKnownHostsFile=${join(dir, 'known')}`,
      '-o',
      'StrictHostKeyChecking=yes',
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'BatchMode=yes',
      '-F',
      'none',
    ],
    async [Symbol.asyncDispose]() {
      await end(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Plain `ssh -N -L`, as the guides say; resolves when the forwarded port answers on the laptop. */
export async function openTunnel(
  laptop: Host,
  sshd: Sshd,
  server: Host,
  forward: string,
  login = userInfo().username,
): Promise<AsyncDisposable> {
  const argv = [...laptop.on, 'ssh', ...sshd.clientArgs, '-N', '-L', forward, `${login}@${server.address}`];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const port = forward.split(':')[0] as string;
  await until(() => {
    if (child.exitCode !== null) throw new Error(`ssh ended: ${said}`);
    return listensOn(laptop, port);
  });
  return { [Symbol.asyncDispose]: () => end(child) };
}

const listensOn = (host: Host, port: string): boolean =>
  execFileSync('ip', ['netns', 'exec', host.name, 'cat', '/proc/net/tcp'])
    .toString()
    .includes(`:${Number(port).toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`);

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await gone;
  clearTimeout(hard);
}
