import { type ExplainedField, explainCredentials } from '../../auth/credentials.ts';
import { readGeneratedToken } from '../../config/generated-token.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { credentialQuestion } from '../credentials.ts';
import { EXIT } from '../exit-codes.ts';
import { explicitFlags, usableConfig } from '../target.ts';

const AGREEMENT = {
  same: 'What this client would send is what this gateway expects.',
  differs: 'What this client would send is NOT what this gateway expects.',
  'nothing-to-send': 'This gateway expects a secret, and this client has none to send.',
  'no-secret': 'This gateway has no secret yet: its first start makes a token.',
  unknown: 'The other side is another machine (or cannot be resolved here): whether both agree shows only by connecting.',
} as const;

/** `openclaw auth explain`: which source won on each side. Never a value, nor anything made of one. */
export const explain: Run = async (context) => {
  const { out } = context;
  const config = await usableConfig(context);
  const explicit = explicitFlags(context);
  const envUrl = config.env['OPENCLAW_GATEWAY_URL']?.trim();
  const isRemote = config.config.gateway.mode === 'remote';
  const kind = explicit.url !== undefined ? 'cli' : envUrl ? 'env' : isRemote ? 'remote' : 'local';
  const question = await credentialQuestion({ config, explicit, kind });
  const { client, server, agreement } = explainCredentials(question);
  const fix = agreement === 'differs' ? fixFor(client, server) : agreement === 'nothing-to-send' ? 'openclaw status --deep' : undefined;
  out.result({ mode: isRemote ? 'remote' : 'local', target: kind, client, server, agreement, ...(fix === undefined ? {} : { fix }) });

  const { paint } = out;
  const side = (title: string, fields: readonly ExplainedField[]): void => {
    out.line(paint.bold(title));
    for (const { field, tried } of fields) {
      out.line(`  ${field}`);
      for (const { source, state, reason } of tried) {
        const mark = state === 'used' ? paint.green('→') : state === 'unresolved' ? paint.red('✗') : ' ';
        out.line(
          `    ${mark} ${source}  ${state === 'used' ? paint.green(state) : paint.dim(state)}${reason === undefined ? '' : `: ${reason}`}`,
        );
      }
    }
  };
  side(`A client here would send (${kind === 'local' ? "to this machine's gateway" : 'to a remote gateway'})`, client);
  if (kind === 'local') side('The gateway of this state dir expects', server);
  out.line();
  out.line((agreement === 'differs' ? paint.red : paint.dim)(AGREEMENT[agreement]));
  if (kind === 'local' && agreement !== 'differs')
    out.line(paint.dim('On this machine the admin socket lets its owner in without any of these.'));
  if (fix !== undefined) out.line(`${paint.bold(out.text.fix)} ${fix}`);
  return agreement === 'differs' ? EXIT.failure : EXIT.ok;
};

function fixFor(client: readonly ExplainedField[], server: readonly ExplainedField[]): string {
  const winner = (fields: readonly ExplainedField[]): string | undefined =>
    fields.flatMap(({ tried }) => tried).find(({ state }) => state === 'used')?.source;
  const [ours, theirs] = [winner(client) ?? 'nothing', winner(server) ?? 'nothing'];
  return `The client takes ${ours}, the gateway ${theirs}: make them the same, or unset one of them`;
}

/** `openclaw auth token --show`: the generated token, on request, to carry it to another machine. */
export const token: Run = async (context) => {
  const { flags, out, paths } = context;
  const config = await usableConfig(context);
  const { resolveCredentials } = await import('../../auth/credentials.ts');
  const { credentialInputs } = await import('../../config/credential-inputs.ts');
  const sources = await credentialInputs(config);
  const resolved = resolveCredentials({ role: 'server', sources, authMode: sources.authMode });
  if (!resolved.ok) {
    const { code, message, fix, path } = resolved.error;
    throw new UserError(code, message, { fix, ...(path === undefined ? {} : { path }) });
  }
  const held = resolved.value.token;
  if (held === undefined) {
    const generated = await readGeneratedToken(paths);
    const why =
      resolved.value.password !== undefined
        ? 'this gateway is guarded by a password, not a token.'
        : `there is no token in ${paths.stateDir} yet.`;
    throw new UserError('NO_TOKEN', generated.state === 'unresolved' ? generated.reason : why, {
      fix: resolved.value.password !== undefined ? 'openclaw auth explain' : 'openclaw gateway run   (its first start makes one)',
    });
  }
  if (!flags.on('show')) {
    out.result({ source: held.source, shown: false });
    out.line(`There is a token (from ${held.source}). It is printed only on request.`);
    out.line(`${out.text.next} openclaw auth token --show`);
    return EXIT.ok;
  }
  if (context.env.stdout.isTTY) out.note(out.paint.dim(`From ${held.source}. Whoever holds it controls this gateway.`));
  out.result({ token: held.value, source: held.source });
  out.line(held.value);
  return EXIT.ok;
};
