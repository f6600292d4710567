/** What a command costs, from the shell's prompt to the next, against a Node that does nothing. */
import { ROOT, startTestGateway } from '../test/support/gateway.ts';
import { alternate, freePort, maxRssMiB, runMs } from './processes.ts';
import { type BenchOptions, type Row, ratioRow, valueRow } from './row.ts';

const LAUNCHER = `${ROOT}/bin/openclaw.js`;

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const port = await freePort();
  await using gateway = await startTestGateway({ env: { OPENCLAW_GATEWAY_PORT: String(port) }, flags: ['--port', String(port)] });
  const env = gateway.env();
  const health = [process.execPath, LAUNCHER, 'health'];
  const remoteHealth = [...health, '--url', `ws://127.0.0.1:${port}`, '--token', gateway.token()];
  const deep = [process.execPath, LAUNCHER, 'status', '--deep'];
  const took = await alternate(quick ? 7 : 25, {
    bare: () => runMs([process.execPath, '-e', '0'], env),
    version: () => runMs([process.execPath, LAUNCHER, '--version'], env),
    help: () => runMs([process.execPath, LAUNCHER, '--help'], env),
    health: () => runMs(health, env),
    remoteHealth: () => runMs(remoteHealth, env),
    deep: () => runMs(deep, env),
  });
  const most = await alternate(quick ? 1 : 5, {
    bare: () => maxRssMiB([process.execPath, '-e', '0'], env),
    health: () => maxRssMiB(health, env),
    remoteHealth: () => maxRssMiB(remoteHealth, env),
    deep: () => maxRssMiB(deep, env),
  });
  const row = (figure: string, value: number, atMost: number): Row => ratioRow(figure, 'ms', value, took.bare, { atMost }, 'node -e 0');
  return [
    row('openclaw --version', took.version, 1.5),
    row('openclaw --help', took.help, 2),
    row('openclaw health, admin socket', took.health, 1.8),
    row('openclaw health, WebSocket', took.remoteHealth, 3.2),
    row('openclaw status --deep', took.deep, 5),
    valueRow('openclaw health, admin socket: memory', 'MiB', most.health, { atMost: 60 }, most.bare),
    valueRow('openclaw health, WebSocket: memory', 'MiB', most.remoteHealth, { atMost: 70 }, most.bare),
    valueRow('openclaw status --deep: memory', 'MiB', most.deep, undefined, most.bare),
  ];
}
