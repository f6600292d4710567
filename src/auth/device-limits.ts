import type { DeviceReads, PairedDevice } from './ports.ts';

export const DEVICE_LIMITS = {
  /** Paired devices that one kind of credential let in from one address (IPv6: /64), by themselves: nobody approved them one by one. */
  perLetIn: 2_048,
  /** Paired devices in all. */
  total: 4_096,
  /** A device that was let in less than this long ago (ms) is not forgotten to make room. */
  graceMs: 10 * 60_000,
  /** Removed devices that are remembered as such, so that coming back takes an approval; of more, those paired longest ago are forgotten. */
  tombstones: 4_096,
} as const;

export const isFull = (reads: DeviceReads, letInBy: string | undefined): boolean =>
  reads.countDevices() >= DEVICE_LIMITS.total || (letInBy !== undefined && reads.countDevices(letInBy) >= DEVICE_LIMITS.perLetIn);

/**
 * The device to forget where one more would be too many: let in by itself, without a sign of life for a while, not connected, and it never came back
 * with a token it was given (or none of them is valid any more). It loses little: what let it in lets it in again. The one that was silent longest;
 * undefined when all are in use.
 */
export function dispensable(
  paired: readonly PairedDevice[],
  letInBy: string | undefined,
  now: number,
  isInUse: (deviceId: string) => boolean,
): PairedDevice | undefined {
  const inGroup = paired.filter(({ device }) => device.letInBy !== undefined && device.letInBy === letInBy);
  const among = inGroup.length >= DEVICE_LIMITS.perLetIn ? inGroup : paired.filter(({ device }) => device.letInBy !== undefined);
  let found: PairedDevice | undefined;
  let silentSince = now - DEVICE_LIMITS.graceMs;
  for (const one of among) {
    const at = lastSeen(one);
    if (at > silentSince || (found !== undefined && at === silentSince)) continue;
    if (!isUnused(one, now) || isInUse(one.device.deviceId)) continue;
    found = one;
    silentSince = at;
  }
  return found;
}

/** A token is made at a connect that brought another credential, so it is a sign of life too. */
const lastSeen = ({ device, tokens }: PairedDevice): number =>
  tokens.reduce((at, { createdAtMs, lastUsedAtMs }) => Math.max(at, createdAtMs, lastUsedAtMs ?? 0), device.approvedAtMs);

export const isUnused = ({ tokens }: Pick<PairedDevice, 'tokens'>, now: number): boolean =>
  tokens.every(({ firstUsedAtMs, expiresAtMs }) => firstUsedAtMs === undefined || expiresAtMs <= now);
