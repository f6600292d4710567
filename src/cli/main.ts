import { processCliEnv } from './process-env.ts';
import { run } from './run.ts';

/** What is still there after a command has ended gets this long. */
const LEAVE_MS = 2_000;

// A pipe that closes early (`openclaw logs | head`) is no fault. A gateway, which is told to end by a signal, goes on without it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (process.listenerCount('SIGTERM') === 0) process.exit(error.code === 'EPIPE' ? 0 : 1);
});

const env = processCliEnv();
void run(process.argv.slice(2), env).then((code) => {
  process.exitCode = code;
  // Node's own way out takes the signal handlers down first: for some milliseconds a signal would end a gateway raw after all.
  if (process.listenerCount('SIGTERM') > 0) process.once('beforeExit', () => process.exit());
  // E.g. a tool of the agent that does not let go. It must not keep a gateway that has ended.
  setTimeout(() => process.exit(), LEAVE_MS).unref();
});
