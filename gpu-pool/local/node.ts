/** A node on this machine: the engine emulator and the real agent in front of it, each a process of its own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Hardware } from '../protocol/schemas.ts';
import { profileFile, shippedProfile } from '../protocol/shipped-profiles.ts';
import { R1 } from './local-nodes.ts';
import { parseListening, type StartedProcess, start } from './process.ts';

const EMULATOR = fileURLToPath(new URL('../emulator/main.ts', import.meta.url));
const AGENT = fileURLToPath(new URL('../agent/main.ts', import.meta.url));

export interface EngineOptions {
  readonly name: string;
  readonly hardware: Hardware;
  /** Id of a shipped model; default: R1. */
  readonly model?: string;
  /** 1 is real time, 0 never waits. */
  readonly speed: number;
  readonly stateDir: string;
  /** A fixed port keeps the same address over a restart; 0 picks a free one. */
  readonly port?: number;
}

export interface Engine extends StartedProcess<string> {
  /** File of the engine's own log of what it generated. */
  readonly log: string;
}

export async function startEngine(options: EngineOptions): Promise<Engine> {
  mkdirSync(options.stateDir, { recursive: true });
  const log = join(options.stateDir, 'engine-log.jsonl');
  const running = await start(
    {
      command: process.execPath,
      args: [
        EMULATOR,
        ...[
          '--port',
          String(options.port ?? 0),
          '--profile',
          options.hardware,
          '--speed',
          String(options.speed),
        ],
        ...['--log', log, '--max-queued-requests', '256'],
        ...['--enable-cache-report', '--enable-priority-scheduling'],
        ...profileArguments(options.model ?? R1),
      ],
      logFile: join(options.stateDir, 'engine.log'),
      readyWithinMs: 20_000,
    },
    parseListening,
  );
  return { ...running, log };
}

/** The flags of the engine that a model's profile sets, as a recipe sets them. */
function profileArguments(modelId: string): string[] {
  const profile = shippedProfile(modelId);
  if (profile === undefined) throw new Error(`No profile of ${modelId} is shipped.`);
  const flags = {
    '--model-profile': profileFile(modelId),
    '--reasoning-parser': profile.parsers.reasoning,
    '--tool-call-parser': profile.parsers.tools,
    '--chat-template': profile.chatTemplate,
  };
  return Object.entries(flags).flatMap(([name, value]) => (value === null ? [] : [name, value]));
}

export interface AgentOptions {
  readonly engineUrl: string;
  readonly edgeUrl: string;
  /** null: the node is enrolled already and its state folder knows it */
  readonly joinToken: string | null;
  readonly port: number;
  readonly stateDir: string;
  /** The engine's two keys; default: it has none, as the emulator. */
  readonly engineKeys?: { readonly user: string; readonly admin: string };
}

/** Starts an agent; `ready` of the result is its address. */
export async function startAgentProcess(options: AgentOptions): Promise<StartedProcess<string>> {
  const { joinToken, engineKeys } = options;
  mkdirSync(options.stateDir, { recursive: true });
  return start(
    {
      command: process.execPath,
      args: [
        AGENT,
        ...['--engine', options.engineUrl, '--edge', options.edgeUrl, '--state', options.stateDir],
        ...['--listen', `127.0.0.1:${options.port}`],
      ],
      env: {
        ...(joinToken !== null && { TOLLGATE_JOIN_TOKEN: joinToken }),
        ...(engineKeys && { ENGINE_API_KEY: engineKeys.user, ENGINE_ADMIN_API_KEY: engineKeys.admin }),
      },
      logFile: join(options.stateDir, 'agent.log'),
      readyWithinMs: 30_000,
    },
    parseListening,
  );
}
