/**
 * The files that hold secrets, the same in every format: the engine's keys, the agent's and the tunnel's settings.
 */
import { DRAIN_DEADLINE_MS } from '../agent/agent.ts';
import { flagsOf, revisionOf } from './flags.ts';
import { AGENT_METRICS_PORT, AGENT_PORT, ENGINE_PORT, type Recipe } from './recipe.ts';
import type { RecipeFile } from './recipe-file.ts';

/**
 * Cloudflare gives up on an origin that is silent for 100 s (error 524). The agent ends such a request earlier, so
 * that the edge learns the reason and the engine stops.
 */
const FIRST_TOKEN_DEADLINE_SECONDS = 95;
export const DRAIN_DEADLINE_SECONDS = DRAIN_DEADLINE_MS / 1_000;
/**
 * How long a service manager should wait: aborts, the last receipts and a margin come after the drain's deadline.
 */
export const AGENT_STOP_SECONDS = DRAIN_DEADLINE_SECONDS + 60;

/** `stateDir` is the agent's; absent: under its home directory. */
export function secretFiles(recipe: Recipe, { stateDir }: { stateDir?: string } = {}): RecipeFile[] {
  return [
    { name: 'engine.yaml', mode: 0o600, text: engineYaml(recipe) },
    { name: 'agent.env', mode: 0o600, text: agentEnv(recipe, stateDir) },
    { name: 'tunnel.env', mode: 0o600, text: tunnelEnv(recipe) },
  ];
}

function engineYaml(recipe: Recipe): string {
  const keys = flagsOf(recipe).filter(({ flag }) => flag.secret);
  return `# Engine keys, which SGLang reads through --config. Secret: mode 0600.
${keys.map(({ flag, value }) => `\n# ${flag.why}\n${flag.name.slice(2)}: "${value}"\n`).join('')}`;
}

function agentEnv(recipe: Recipe, stateDir: string | undefined): string {
  const { joinToken, publicUrl, edgeUrl } = recipe;
  const revision = revisionOf(recipe);
  return `# Agent settings; \`npm run node -- --help\` lists them all. Secret: mode 0600.

# The engine's keys, as in engine.yaml. To change one, change it in both files and restart both.
ENGINE_API_KEY=${recipe.keys.api}
ENGINE_ADMIN_API_KEY=${recipe.keys.admin}

# Created on the portal's pool page for ${recipe.model} on ${recipe.hardware}. It works once and expires after a day.
# After the first start the node has its own key, and this line can be deleted.
${setting('TOLLGATE_JOIN_TOKEN', joinToken, 'paste-the-join-token')}

# The URL at which the edge reaches this agent: the tunnel's public hostname, without a path.
${setting('TOLLGATE_URL', publicUrl, 'https://node-1.example.com')}

# The edge's URL. Default: from the join token.
${setting('TOLLGATE_EDGE', edgeUrl, 'https://tollgate.example.com')}

TOLLGATE_ENGINE=http://127.0.0.1:${ENGINE_PORT}
TOLLGATE_LISTEN=127.0.0.1:${AGENT_PORT}
# For a Prometheus on this host; the tunnel does not expose it.
TOLLGATE_METRICS=127.0.0.1:${AGENT_METRICS_PORT}
${
  revision === undefined
    ? ''
    : `# The agent accepts only an engine that serves this commit of the weights.\nTOLLGATE_REVISION=${revision}\n`
}${
  stateDir === undefined
    ? ''
    : `
# The node's identity and the receipts that the edge has not acknowledged: never delete it while the node is enrolled.
TOLLGATE_STATE=${stateDir}
`
}
# Seconds for running answers to finish when the agent is stopped. The service manager waits a minute longer.
TOLLGATE_DRAIN_DEADLINE=${DRAIN_DEADLINE_SECONDS}
# Longest wait for a first token, in seconds. Cloudflare itself gives up after 100 (error 524).
TOLLGATE_FIRST_TOKEN_DEADLINE=${FIRST_TOKEN_DEADLINE_SECONDS}
`;
}

function tunnelEnv({ publicUrl }: Recipe): string {
  return `# cloudflared settings. Secret: mode 0600.
#
# In Cloudflare's dashboard, under Networks, Tunnels: create a tunnel, give it the public hostname
# ${publicUrl === undefined ? 'that is TOLLGATE_URL in agent.env' : URL.parse(publicUrl)!.host} with the service http://127.0.0.1:${AGENT_PORT}, and paste its token here.
${setting('TUNNEL_TOKEN', undefined, 'paste-the-tunnel-token')}
`;
}

/**
 * A line of a settings file. An example is commented out, so that a forgotten value is reported as missing, not
 * tried.
 */
function setting(name: string, value: string | undefined, example: string): string {
  return value === undefined ? `#${name}=${example}` : `${name}=${value}`;
}
