import type { ConfigSnapshot } from '../config/load.ts';
import type { HttpConfig } from './http/ports.ts';

/** The slice of a snapshot that HTTP needs. */
export function httpConfig(snapshot: ConfigSnapshot): HttpConfig {
  const { controlUi, http } = snapshot.config.gateway;
  const { chatCompletions } = http.endpoints;
  const hsts = http.securityHeaders.strictTransportSecurity;
  return {
    basePath: controlUi.basePath,
    chatCompletions,
    ...(typeof hsts === 'string' && { strictTransportSecurity: hsts }),
  };
}
