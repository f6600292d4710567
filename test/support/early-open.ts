import { systemClock } from '../../src/lib/clock.ts';
import { openDatabase as openHonest } from '../../src/store/sqlite/open.ts';
import { acknowledgeEarly } from './early-ack.ts';

export const EARLY_MS = 50;

/** `openDatabase`, and what it opens answers too early. See `early-gateway.ts`. */
export const openDatabase: typeof openHonest = async (file, options) => {
  const opened = await openHonest(file, options);
  return opened.ok ? { ok: true, value: { ...opened.value, ...acknowledgeEarly(opened.value, EARLY_MS, systemClock) } } : opened;
};
