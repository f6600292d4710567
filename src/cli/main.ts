import { processCliEnv } from './process-env.ts';
import { run } from './run.ts';

// A pipe that closes early (`openclaw logs | head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const env = processCliEnv();
void run(process.argv.slice(2), env).then((code) => {
  process.exitCode = code;
});
