// Writes docs/config.md from the option table: node scripts/config-docs.ts
import { writeFileSync } from 'node:fs';
import { configReference } from '../src/config/reference.ts';

writeFileSync(new URL('../docs/config.md', import.meta.url), configReference());
