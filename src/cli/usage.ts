import { UserError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';

/** Wrong usage of the command line: exit 2, and the line that helps. */
export const usage = (message: string, fix: string): UserError => new UserError('USAGE', message, { fix, exitCode: EXIT.usage });
