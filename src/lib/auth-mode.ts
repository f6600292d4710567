/**
 * What guards: the mode that was set, else a password where one is configured, else a token. Asked by the start guards and
 * by the door's settings, which must never differ.
 */
export const modeInForce = <Mode extends string>(mode: Mode | undefined, password: string | undefined): Mode | 'password' | 'token' =>
  mode ?? ((password?.trim() ?? '') === '' ? 'token' : 'password');
