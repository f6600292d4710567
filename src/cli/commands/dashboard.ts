import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { urlTarget, usableConfig } from '../target.ts';

/** `openclaw dashboard`: where the control panel is and how to get in. No secret in the URL: it would stay in histories and logs. */
export const run: Run = async (context) => {
  const { out, env } = context;
  const config = await usableConfig(context);
  const target = await urlTarget(context);
  const base = target.endpoint.url.replace(/^ws/, 'http').replace(/\/$/, '');
  const url = `${base}${config.config.gateway.controlUi.basePath}/`;
  const { port } = config.config.gateway;
  const overSsh = env.vars['SSH_CONNECTION'] !== undefined;
  const tunnel = `ssh -N -L ${port}:127.0.0.1:${port} ${env.vars['USER'] ?? 'user'}@<this-machine>`;
  out.result({ url, ...(overSsh ? { tunnel } : {}), signIn: 'openclaw auth token --show' });
  out.line(`Control panel: ${out.paint.cyan(url)}`);
  if (overSsh) out.line(`You are here over SSH. On your own machine first: ${tunnel}`);
  out.line('It asks for the token once and then remembers this browser as a device.');
  out.line(`${out.text.next} ${target.mode === 'remote' ? 'on the gateway: ' : ''}openclaw auth token --show`);
  return EXIT.ok;
};
