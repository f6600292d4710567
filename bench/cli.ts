/** What a command costs, from the shell's prompt to the next, against a Node that does nothing. */
import { ROOT, startTestGateway } from '../test/support/gateway.ts';
import { alternate, freePort, runMs } from './processes.ts';
import { type Row, ratioRow } from './row.ts';

const RUNS = 15;
const LAUNCHER = `${ROOT}/bin/openclaw.js`;

export async function run(): Promise<Row[]> {
  const port = await freePort();
  await using gateway = await startTestGateway({ env: { OPENCLAW_GATEWAY_PORT: String(port) }, flags: ['--port', String(port)] });
  const env = gateway.env();
  const cli =
    (...args: string[]) =>
    () =>
      runMs([process.execPath, LAUNCHER, ...args], env);
  const took = await alternate(RUNS, {
    bare: () => runMs([process.execPath, '-e', '0'], env),
    version: cli('--version'),
    help: cli('--help'),
    health: cli('health'),
    remoteHealth: cli('health', '--url', `ws://127.0.0.1:${port}`, '--token', gateway.token()),
    deep: cli('status', '--deep'),
  });
  const row = (figure: string, value: number, atMost: number): Row => ratioRow(figure, 'ms', value, took.bare, { atMost }, 'node -e 0');
  return [
    row('openclaw --version', took.version, 1.5),
    row('openclaw --help', took.help, 2),
    row('openclaw health, admin socket', took.health, 1.8),
    row('openclaw health, WebSocket', took.remoteHealth, 3.2),
    row('openclaw status --deep', took.deep, 5),
  ];
}
