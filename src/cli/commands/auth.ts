import { type ExplainedField, explainCredentials, resolveCredentials, secretKind } from '../../auth/credentials.ts';
import { announcedPort } from '../../config/announced-port.ts';
import { readGeneratedToken } from '../../config/generated-token.ts';
import { runningGateway } from '../../config/running-gateway.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { credentialQuestion } from '../credentials.ts';
import { EXIT } from '../exit-codes.ts';
import { pad, width } from '../format/text.ts';
import type { Messages } from '../i18n.ts';
import { explicitFlags, localUrl, usableConfig } from '../target.ts';

/** `openclaw auth explain`: which source won on each side. Never a value, nor anything made of one. */
export const explain: Run = async (context) => {
  const { out, paths } = context;
  const config = await usableConfig(context);
  const explicit = explicitFlags(context);
  const envUrl = config.env['OPENCLAW_GATEWAY_URL']?.trim();
  const isRemote = config.config.gateway.mode === 'remote';
  const kind = explicit.url !== undefined ? 'cli' : envUrl ? 'env' : isRemote ? 'remote' : 'local';
  const question = await credentialQuestion({ config, explicit, kind });
  const { client, server, agreement } = explainCredentials(question);
  const stranger = await strangerHere();
  const fix =
    stranger?.fix ??
    (agreement === 'differs' ? fixFor(client, server, out.text) : agreement === 'nothing-to-send' ? 'openclaw status --deep' : undefined);
  out.result({
    mode: isRemote ? 'remote' : 'local',
    target: kind,
    client,
    server,
    agreement,
    ...(stranger === undefined ? {} : { withheld: { code: stranger.code, message: stranger.message } }),
    ...(fix === undefined ? {} : { fix }),
  });

  const { paint, text: t } = out;
  const columns = Math.max(...[...client, ...server].flatMap(({ tried }) => tried).map(({ source }) => width(source)), 0);
  const side = (title: string, fields: readonly ExplainedField[]): void => {
    out.line(paint.bold(title));
    for (const { field, tried } of fields) {
      out.line(`  ${field}`);
      for (const { source, state, reason } of tried) {
        const mark = state === 'used' ? paint.green('→') : state === 'unresolved' ? paint.red('✗') : ' ';
        const told = state === 'used' ? paint.green(t.authState[state]) : paint.dim(t.authState[state]);
        out.line(`    ${mark} ${pad(source, columns)}  ${told}${reason === undefined ? '' : `: ${reason}`}`);
      }
    }
    out.line();
  };
  side(kind === 'local' ? t.authClientHere : t.authClientThere, client);
  if (kind === 'local') side(t.authServer, server);
  // A running gateway may have been given its secret by an environment that this terminal does not see.
  const isRunning = kind === 'local' && announcedPort(paths) !== undefined;
  out.line(
    (agreement === 'differs' ? paint.red : paint.dim)(isRunning && agreement === 'no-secret' ? t.authOwnEnv : t.authAgreement[agreement]),
  );
  if (stranger !== undefined) out.line(paint.red(stranger.message));
  if (kind === 'local' && agreement !== 'differs' && stranger === undefined) out.line(paint.dim(t.authSocket));
  if (fix !== undefined) out.line(out.todo(t.fix, fix));
  return agreement === 'differs' || stranger !== undefined ? EXIT.failure : EXIT.ok;

  /** Whose secret it is, is one half; the other is who has the port that it would go to. */
  async function strangerHere(): Promise<UserError | undefined> {
    const resolved = kind === 'local' ? resolveCredentials(question) : undefined;
    const secret = resolved?.ok === true ? secretKind(resolved.value) : undefined;
    if (secret === undefined) return undefined;
    const here = await localUrl(config).catch(() => undefined);
    const { strangerAt } = await import('../own-gateway.ts');
    return here && strangerAt(context, { endpoint: { door: 'ws', url: here.url }, secret }, runningGateway(paths));
  }
};

function fixFor(client: readonly ExplainedField[], server: readonly ExplainedField[], t: Messages): string {
  const winner = (fields: readonly ExplainedField[]): string | undefined =>
    fields.flatMap(({ tried }) => tried).find(({ state }) => state === 'used')?.source;
  return t.authDiffer(winner(client) ?? '-', winner(server) ?? '-');
}

/** `openclaw auth token --show`: the generated token, on request, to carry it to another machine. */
export const token: Run = async (context) => {
  const { flags, out, paths } = context;
  const config = await usableConfig(context);
  if (config.config.gateway.mode === 'remote') {
    throw new UserError('REMOTE_CONFIG', out.text.isClient, { fix: out.text.onGateway('openclaw auth token --show') });
  }
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
    const { text: t } = out;
    const isGuarded = resolved.value.password !== undefined;
    const isRunning = announcedPort(paths) !== undefined;
    const why = isGuarded ? t.tokenIsPassword : isRunning ? t.authOwnEnv : t.tokenNone(paths.stateDir);
    throw new UserError('NO_TOKEN', generated.state === 'unresolved' ? generated.reason : why, {
      fix: isGuarded || isRunning ? 'openclaw auth explain' : `openclaw gateway run   (${t.noteFirstStart})`,
    });
  }
  if (!flags.on('show')) {
    out.result({ source: held.source, shown: false });
    out.line(out.text.tokenThere(held.source));
    out.line(out.todo(out.text.next, 'openclaw auth token --show'));
    return EXIT.ok;
  }
  if (context.env.stdout.isTTY) out.note(out.paint.dim(out.text.tokenPower(held.source)));
  out.result({ token: held.value, source: held.source });
  out.line(held.value);
  return EXIT.ok;
};
