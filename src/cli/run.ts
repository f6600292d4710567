import { resolvePaths } from '../config/paths.ts';
import { VERSION } from '../lib/build-info.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import { redactText } from '../lib/redact.ts';
import { lazyConfig } from './context.ts';
import type { CliEnv } from './env.ts';
import { EXIT } from './exit-codes.ts';
import { messagesFor, summariesFor } from './language.ts';
import { Output } from './output.ts';
import { parseArgv } from './parse.ts';
import { COMMANDS, GLOBAL_FLAGS } from './program.ts';

const same = (text: string): string => text;
/** Longer lines are hard to read. */
const MAX_HELP_COLUMNS = 110;

/**
 * One command line from start to end; the exit code. Never throws: what a person must know is printed, with its fix.
 * `--version` is answered before anything is parsed, and a command's code is loaded when it is known which one.
 */
export async function run(argv: readonly string[], env: CliEnv): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V' || argv[0] === '-v')) {
    env.stdout.write(`${VERSION}\n`);
    return EXIT.ok;
  }
  const json = argv.includes('--json');
  const colour = env.stdout.isTTY && !argv.includes('--no-color') && !env.vars['NO_COLOR'] && env.vars['TERM'] !== 'dumb';
  const out = new Output(env, { json, colour, text: await messagesFor(env.vars) });
  try {
    const parsed = parseArgv(argv);
    if (!parsed.ok) throw parsed.error;
    const invocation = parsed.value;
    if (invocation.kind === 'version') {
      if (json) out.result({ version: VERSION });
      else out.line(VERSION);
      return EXIT.ok;
    }
    if (invocation.kind === 'help') {
      const { helpText, helpData } = await import('./help.ts');
      out.result(helpData(invocation));
      const say = json ? same : await summariesFor(env.vars);
      out.line(helpText({ text: out.text, paint: out.paint, columns: Math.min(env.stdout.columns, MAX_HELP_COLUMNS), say }, invocation));
      return EXIT.ok;
    }
    const { command, flags, args } = invocation;
    const profile = flags.text('profile');
    out.profileFlag = profile === undefined ? (flags.on('dev') ? '--dev' : '') : `--profile ${profile}`;
    const paths = resolvePaths(env.vars, { ...(profile === undefined ? {} : { profile }), ...(flags.on('dev') ? { dev: true } : {}) });
    if (!paths.ok) throw paths.error;
    const execute = await command.load();
    return await execute({
      env,
      flags,
      args,
      out,
      paths: paths.value,
      program: { commands: COMMANDS, globalFlags: GLOBAL_FLAGS },
      config: lazyConfig(paths.value, env.vars),
    });
  } catch (thrown) {
    if (thrown instanceof UserError) {
      out.failure(thrown);
      return thrown.exitCode;
    }
    const isDebug = /^(debug|trace)$/.test(env.vars['OPENCLAW_LOG_LEVEL'] ?? '');
    if (isDebug && thrown instanceof Error) env.stderr.write(`${redactText(thrown.stack ?? '')}\n`);
    out.failure(internal(thrown, isDebug));
    return EXIT.failure;
  }
}

/** A bug of ours. One line; the stack only for those who ask for it. */
const internal = (thrown: unknown, isDebug: boolean): UserError =>
  new UserError('INTERNAL', `this is a bug: ${messageOf(thrown)}`, {
    fix: isDebug ? 'Report the lines above' : 'Run it again with OPENCLAW_LOG_LEVEL=debug and report what it prints',
    cause: thrown,
  });
