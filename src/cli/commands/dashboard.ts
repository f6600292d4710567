import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { urlTarget, usableConfig } from '../target.ts';

/**
 * `openclaw dashboard`: the gateway's page. This version's says how to get in and holds no control panel; that is told, not hidden. No
 * secret in the URL: it would stay in histories and logs.
 */
export const run: Run = async (context) => {
  const { out, env } = context;
  const { text: t } = out;
  const config = await usableConfig(context);
  const target = await urlTarget(context);
  const base = target.shown.replace(/^ws/, 'http').replace(/\/$/, '');
  const url = `${base}${config.config.gateway.controlUi.basePath}/`;
  const port = new URL(base).port || '18789';
  // `client-ip client-port server-ip server-port`, set by sshd: the third is where this person reached this machine.
  const [, , here] = (env.vars['SSH_CONNECTION'] ?? '').split(' ');
  const tunnel = here === undefined ? undefined : `ssh -N -L ${port}:127.0.0.1:${port} ${env.vars['USER'] ?? 'user'}@${here}`;
  out.result({ url, panel: false, ...(tunnel === undefined ? {} : { tunnel }), signIn: 'openclaw auth token --show' });
  out.line(`${t.page}: ${out.paint.cyan(url)}`);
  out.line(t.noPanel);
  if (tunnel !== undefined) out.line(`${t.overSsh} ${tunnel}`);
  out.line(out.todo(t.next, 'openclaw chat'));
  return EXIT.ok;
};
