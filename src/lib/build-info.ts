declare const __OPENCLAW_VERSION__: string | undefined;
declare const __OPENCLAW_BUILD_ID__: string | undefined;

/** Filled in by the bundle; sources run from a checkout say so. Constant within one boot: clients compare it after a reconnect. */
export const VERSION: string = typeof __OPENCLAW_VERSION__ === 'string' ? __OPENCLAW_VERSION__ : '0.0.0-dev';
export const BUILD_ID: string = typeof __OPENCLAW_BUILD_ID__ === 'string' ? __OPENCLAW_BUILD_ID__ : 'dev';
