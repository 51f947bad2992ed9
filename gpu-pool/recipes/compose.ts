/** Compose format: engine, tunnel and agent as containers on the host's network. */
import {
  CACHE_PATH,
  CONFIG_PATH,
  CONTAINER,
  ENGINE_STOP_SECONDS,
  engineArguments,
  LAUNCH,
} from './engine-command.ts';
import { header } from './header.ts';
import { MACHINES, type Machine } from './machine.ts';
import { profileEnvironment, type Setting } from './profile-flags.ts';
import { AGENT_PORT, ENGINE_PORT, type Recipe, TUNNEL_METRICS_PORT } from './recipe.ts';
import type { RecipeFile } from './recipe-file.ts';
import { AGENT_STOP_SECONDS, DRAIN_DEADLINE_SECONDS, secretFiles } from './secrets.ts';

const STATE_PATH = '/var/lib/tollgate';
const CLOUDFLARED_IMAGE = 'cloudflare/cloudflared:2026.8.2';
const NODE_IMAGE = 'node:24-slim';
/**
 * While the engine loads, a failed health check does not count; loading may include the download of the weights.
 */
const LOADING_SECONDS_MAX = 6 * 60 * 60;

export function composeFiles(recipe: Recipe): RecipeFile[] {
  const compose = (text: string): RecipeFile => ({ name: 'compose.yaml', mode: 0o644, text });
  return recipe.rank === 0
    ? [compose(node(recipe)), ...secretFiles(recipe, { stateDir: STATE_PATH })]
    : [compose(engineOnly(recipe))];
}

function node(recipe: Recipe): string {
  return `${header(recipe, { tools: 'Docker Engine 25 or newer, with Compose.' })}
#   Before the first start, fill in agent.env and tunnel.env beside this file.
#   docker compose up --detach    starts the agent once the engine has loaded: 10 to 30 minutes, or hours if the
#                                 weights must be downloaded first
#   docker compose stop           drains: running answers get up to ${DRAIN_DEADLINE_SECONDS} s, then engine and tunnel stop
#
# All three share the host's network. The engine listens on loopback only, so only this host can reach it, and the
# agent, which refuses an exposed engine, checks the host's real addresses.
name: tollgate

services:
${engine(recipe)}
  tunnel:
    image: ${CLOUDFLARED_IMAGE}
    network_mode: host
    env_file: [tunnel.env]
    command: [tunnel, --no-autoupdate, --metrics, "127.0.0.1:${TUNNEL_METRICS_PORT}", run]
    healthcheck:
      test: [CMD, cloudflared, tunnel, --metrics, "127.0.0.1:${TUNNEL_METRICS_PORT}", ready]
      interval: 30s
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]

  agent:
    image: ${NODE_IMAGE}
    network_mode: host
    # Starts last and so stops first: the answers that it finishes come from the engine and leave through the tunnel.
    depends_on:
      engine:
        condition: service_healthy
      tunnel:
        condition: service_started
    env_file: [agent.env]
    working_dir: /opt/tollgate
    entrypoint: [node, gpu-pool/agent/main.ts]
    volumes:
      # A checkout of Tollgate, after \`npm ci\`.
      - ${scalar(`${recipe.checkoutDir}:/opt/tollgate:ro`)}
      # The node's identity and unacknowledged receipts. \`docker compose down --volumes\` would destroy this node.
      - state:${STATE_PATH}
    healthcheck:
      test: [CMD, node, -e, "fetch('http://127.0.0.1:${AGENT_PORT}/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
      interval: 30s
    # Restarts after a reboot too, unlike on-failure. A node that the edge has removed exits at once each time.
    restart: unless-stopped
    # The drain's ${DRAIN_DEADLINE_SECONDS} s plus a minute for aborts and last receipts.
    stop_grace_period: ${AGENT_STOP_SECONDS}s
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]

volumes:
  state:
`;
}

function engineOnly(recipe: Recipe): string {
  return `${header(recipe, { tools: 'Docker Engine 25 or newer, with Compose.' })}
#   docker compose up --detach    on both hosts; the engine loads once both are running
#   docker compose stop           after stopping rank 0, which drains
#
# This host has no agent, tunnel or keys.
name: tollgate

services:
${engine(recipe)}`;
}

function engine(recipe: Recipe): string {
  const machine: Machine = MACHINES[recipe.hardware];
  return `  engine:
    image: ${scalar(recipe.image)}
    container_name: ${CONTAINER}
    network_mode: host
    # Tensor-parallel workers share the host's memory through ipc: host, so shm_size would have no effect.
    ipc: host
    init: true
    ulimits:
      # GPU and RDMA buffers are locked in memory.
      memlock: -1
      stack: 67108864
${gpuAccess(machine)}${environment([...machine.environment, ...profileEnvironment(recipe)])}    volumes:
      # Weights and compiled kernels, up to some 700 GB.
      - ${scalar(`${recipe.cacheDir}:${CACHE_PATH}`)}
${recipe.rank === 0 ? `      - ./engine.yaml:${CONFIG_PATH}:ro\n` : ''}    entrypoint: [${LAUNCH.join(', ')}]
    command:
${engineArguments(recipe)
  .map(({ words, why }) => `      # ${why}\n${words.map((word) => `      - ${scalar(word)}\n`).join('')}`)
  .join('')}    healthcheck:
      # Generates one token, for which SGLang waits 20 s. A long prefill can fail a check now and then, hence five retries.
      test: [CMD, python3, -c, "import urllib.request as http; http.urlopen('http://127.0.0.1:${ENGINE_PORT}/health', timeout=25)"]
      interval: 30s
      timeout: 30s
      retries: 5
      # Time to load, including a download of the weights.
      start_period: ${LOADING_SECONDS_MAX}s
      start_interval: 5s
    restart: unless-stopped
    # An engine that does not end by itself is killed then.
    stop_grace_period: ${ENGINE_STOP_SECONDS}s
`;
}

/** Settings that give the container its GPUs. */
function gpuAccess(machine: Machine): string {
  const nvidia = `    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
`;
  return [
    machine.nvidia ? nvidia : '',
    list('devices', machine.devices),
    list('group_add', machine.groups),
    list('cap_add', machine.capabilities),
    list('security_opt', machine.securityOptions),
  ].join('');
}

function list(key: string, values: readonly string[]): string {
  return values.length === 0 ? '' : `    ${key}: [${values.map(scalar).join(', ')}]\n`;
}

function environment(settings: readonly Setting[]): string {
  if (settings.length === 0) return '';
  const lines = settings.map(({ name, value, why }) => `      # ${why}\n      ${name}: "${value}"\n`);
  return `    environment:\n${lines.join('')}`;
}

/**
 * A YAML scalar: unquoted where YAML reads it as this very string, else in JSON's quoting, which YAML accepts. Compose would
 * put the value of a variable in place of `$NAME`, and refuses a file with `$(`, so each `$` is doubled.
 */
function scalar(text: string): string {
  return /^(?:[\w/]|-+[a-z])[\w./=:+-]*$/.test(text) && !/:$|^[\d.:]+$/.test(text)
    ? text
    : JSON.stringify(text.replaceAll('$', '$$$$'));
}
