/** Every client that is tried, in the order in which they are. */
import { aider } from './agents/aider.ts';
import { claudeCode } from './agents/claude-code.ts';
import { cline } from './agents/cline.ts';
import { codex } from './agents/codex.ts';
import { opencode } from './agents/opencode.ts';
import type { Client } from './client.ts';
import { SDKS } from './sdks/clients.ts';

export const CLIENTS: readonly Client[] = [claudeCode, codex, opencode, cline, aider, ...SDKS];
