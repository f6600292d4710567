import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FIRST_CONFIG } from './first-run.ts';
import { parsePath } from './key-path.ts';
import { allOptions, optionAt, reloadAt } from './lookup.ts';
import { readConfig } from './read.ts';
import { configReference } from './reference.ts';
import { flagOptions, jsonSchema, uiHints } from './schema.ts';

describe('the option table', () => {
  test('CF-37 every option has one line of words and keeps its own rules', () => {
    for (const { path, spec } of allOptions()) {
      expect(spec.doc, path).toMatch(/^\S[^\n]*$/);
      // A default that its own option would refuse could never be written down.
      if (spec.default !== undefined && !path.includes('*') && !path.includes('[')) {
        const keys = parsePath(path);
        if (!keys.ok) throw new Error(path);
        const tree = keys.value.reduceRight<unknown>((value, key) => ({ [key]: value }), spec.default);
        expect([path, readConfig(tree).issues]).toEqual([path, []]);
      }
    }
  });

  test('CF-37 what guards access is marked so, all the way down', () => {
    for (const path of [
      'gateway.bind',
      'gateway.mode',
      'gateway.auth.token',
      'gateway.auth.rateLimit.maxAttempts',
      'gateway.tailscale.mode',
      'gateway.tls.enabled',
      'gateway.trustedProxies',
      'secrets.defaults.env',
      'gateway.controlUi.allowedOrigins',
      'hooks.token',
    ]) {
      const keys = parsePath(path);
      expect([path, keys.ok && optionAt(keys.value)?.guard]).toEqual([path, true]);
    }
  });

  test('CF-37 names are found once, flags and variables stand for one option each', () => {
    const flags = flagOptions().map((option) => option.flag);
    expect(flags.toSorted()).toEqual(['--auth', '--bind', '--port', '--tailscale', '--tailscale-reset-on-exit']);
    const variables = allOptions().flatMap(({ spec }) => spec.env ?? []);
    expect(new Set(variables).size).toBe(variables.length);
    expect(flagOptions().find((option) => option.flag === '--port')?.help).toBe(
      'The port (env OPENCLAW_GATEWAY_PORT, config gateway.port, default 18789)',
    );
  });

  test('CF-36 an unknown key counts like what it stands in', () => {
    expect(reloadAt(['gateway', 'auth', 'newThing'])).toBe('hot');
    expect(reloadAt(['nothing', 'known'])).toBe('restart');
  });
});

describe('the JSON Schema', () => {
  test('CF-38 covers every option, lets unknown keys pass and takes references for secrets', () => {
    const schema = jsonSchema() as {
      properties: {
        gateway: {
          properties: Record<string, { enum?: unknown; default?: unknown; anyOf?: unknown[]; properties?: Record<string, unknown> }>;
          additionalProperties: unknown;
        };
      };
    };
    const gateway = schema.properties.gateway;
    expect(gateway.properties['bind']).toMatchObject({
      type: 'string',
      enum: ['auto', 'lan', 'loopback', 'custom', 'tailnet'],
      default: 'loopback',
    });
    expect(gateway.properties['port']).toMatchObject({ type: 'integer', minimum: 1, maximum: 65535 });
    expect(gateway.additionalProperties).toBe(true);
    expect(gateway.properties['auth']?.properties?.['token']).toMatchObject({ anyOf: [{ type: 'string' }, { type: 'object' }] });
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    const hints = uiHints();
    expect(hints['gateway.auth.token']).toEqual({
      label: 'Token',
      help: expect.any(String),
      sensitive: true,
      tags: ['reload:hot', 'security'],
    });
    expect(hints['models.providers.*.apiKey']).toMatchObject({ label: 'Api Key', sensitive: true });
  });
});

describe('the docs', () => {
  test('CF-37 docs/config.md is up to date (node scripts/config-docs.ts)', () => {
    expect(readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8')).toBe(configReference());
  });

  test('CF-30 the first config names only options that exist', () => {
    for (const name of ['gateway.mode', 'gateway.http.endpoints.chatCompletions.enabled']) {
      const keys = parsePath(name);
      expect(keys.ok && optionAt(keys.value)).toBeTruthy();
      expect(FIRST_CONFIG).toContain(name.split('.').at(-1));
    }
  });
});
