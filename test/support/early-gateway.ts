/**
 * The gateway, from its sources, with one thing broken on purpose: its database answers 50 ms before it commits
 * (`early-ack.ts`). Takes the arguments of `openclaw`. It is there to be caught by the crash checker.
 *
 * Nothing of the product knows of this: only the module that the composition root opens the database with is swapped,
 * while it is loaded.
 */
import { registerHooks } from 'node:module';

const url = (relative: string): string => new URL(relative, import.meta.url).href;
const OPEN = url('../../src/store/sqlite/open.ts');
const START = url('../../src/gateway/start.ts');
let swapped = false;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    if (found.url !== OPEN || context.parentURL !== START) return found;
    swapped = true;
    return { ...found, url: url('./early-open.ts') };
  },
});
// A gateway that is not broken would prove nothing.
process.on('exit', () => {
  if (!swapped) process.exitCode = 70;
});
await import('../../src/cli/main.ts');
