import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { arch, hostname, platform, release, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Approvals } from '../auth/approvals.ts';
import { parsePaired3x } from '../auth/import-3x.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import type { Paths } from '../config/paths.ts';
import { VERSION } from '../lib/build-info.ts';
import { messageOf } from '../lib/errors.ts';
import { parseCidr } from '../net/addresses.ts';
import { originPolicy } from '../net/origin-policy.ts';
import type { PresenceEntry } from '../protocol/connect.ts';
import type { FactsPolicy } from './facts.ts';

/** What requests are judged by, parsed once per config. */
export function factsPolicyOf(snapshot: ConfigSnapshot): FactsPolicy {
  const { publicUrl, controlUi, trustedProxies, allowRealIpFallback, auth } = snapshot.config.gateway;
  return {
    origins: originPolicy({ publicUrl, allowedOrigins: controlUi.allowedOrigins }),
    trustedProxies: trustedProxies.flatMap((text) => parseCidr(text) ?? []),
    allowRealIp: allowRealIpFallback,
    ...(auth.trustedProxy?.userHeader !== undefined && {
      proxyIdentity: { userHeader: auth.trustedProxy.userHeader, requiredHeaders: auth.trustedProxy.requiredHeaders },
    }),
  };
}

/** The gateway's own line in the list of who is here. */
export function selfPresence(deviceId: string): PresenceEntry {
  const host = hostname();
  const family = { linux: 'Linux', darwin: 'Mac', win32: 'Windows' }[platform() as 'linux'] ?? platform();
  return {
    host,
    version: VERSION,
    platform: `${platform()} ${release()}`,
    deviceFamily: family,
    modelIdentifier: arch(),
    mode: 'gateway',
    reason: 'self',
    instanceId: deviceId,
    text: `Gateway: ${host} · app ${VERSION}`,
    ts: 0,
  };
}

/** The user this gateway runs as, for the `ssh` line that the guide prints. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'user';
  }
}

const MAX_IMPORT = 4 * 1024 * 1024;

/** Devices that a 3.x installation in this state dir had paired keep working; its files are read and left as they are. */
export async function importEarlierDevices(paths: Paths, approvals: Approvals, now: number, say: (line: string) => void): Promise<void> {
  const file = join(paths.stateDir, 'devices', 'paired.json');
  if (!existsSync(file)) return;
  try {
    if (statSync(file).size > MAX_IMPORT) throw new Error('it is larger than any list of devices');
    const found = parsePaired3x(readFileSync(file, 'utf8'), now);
    const taken = await approvals.importDevices(found.devices);
    if (taken > 0) say(`took over ${taken} paired device${taken === 1 ? '' : 's'} of an earlier installation: openclaw devices list`);
  } catch (thrown) {
    say(`the paired devices of an earlier installation were not taken over (${file}): ${messageOf(thrown)}`);
  }
}

/** One round trip through the admin socket with a durable write behind it; rejects with why not. */
export function selfCheck(socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write('{"type":"req","id":"selfcheck","method":"gateway.selfcheck"}\n'));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.includes('\n')) return;
      socket.end();
      try {
        const answer = JSON.parse(text) as { ok: boolean; error?: { message: string } };
        if (answer.ok) resolve();
        else reject(new Error(answer.error?.message ?? 'refused'));
      } catch (thrown) {
        reject(thrown);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the admin socket closed without an answer')));
  });
}
