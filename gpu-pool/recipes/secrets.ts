/**
 * The files that hold secrets, the same in every format: the engine's keys, the agent's and the tunnel's settings.
 */
import { DRAIN_DEADLINE_MS } from '../agent/agent.ts';
import { flagsOf } from './flags.ts';
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
  return `# Keys of the engine, which SGLang reads with --config. Secret: mode 0600.
${keys.map(({ flag, value }) => `\n# ${flag.why}\n${flag.name.slice(2)}: "${value}"\n`).join('')}`;
}

function agentEnv(recipe: Recipe, stateDir: string | undefined): string {
  const { joinToken, publicUrl, edgeUrl, revision } = recipe;
  return `# Settings of the agent; \`npm run node -- --help\` lists them all. Secret: mode 0600.

# The engine's keys, as in engine.yaml. To change one, change it in both files and restart both.
ENGINE_API_KEY=${recipe.keys.api}
ENGINE_ADMIN_API_KEY=${recipe.keys.admin}

# Made on the portal's pool page for ${recipe.model} on ${recipe.hardware}. It works once, for a day: after the first
# start the node has a key of its own, and this line may go.
${setting('TOLLGATE_JOIN_TOKEN', joinToken, 'paste-the-join-token')}

# Where the edge reaches this agent: the public hostname of the tunnel, without a path.
${setting('TOLLGATE_URL', publicUrl, 'https://node-1.example.com')}

# The edge; without this line the one that the join token names.
${setting('TOLLGATE_EDGE', edgeUrl, 'https://tollgate.example.com')}

TOLLGATE_ENGINE=http://127.0.0.1:${ENGINE_PORT}
TOLLGATE_LISTEN=127.0.0.1:${AGENT_PORT}
# For a Prometheus on this host; the tunnel does not lead there.
TOLLGATE_METRICS=127.0.0.1:${AGENT_METRICS_PORT}
${
  revision === undefined
    ? ''
    : `# The commit of the weights, without which the agent takes no engine.\nTOLLGATE_REVISION=${revision}\n`
}${
  stateDir === undefined
    ? ''
    : `
# The node's identity and the receipts that the edge has not acknowledged: never delete it while the node lives.
TOLLGATE_STATE=${stateDir}
`
}
# Seconds that running answers get when the agent is stopped. The service manager waits a minute longer.
TOLLGATE_DRAIN_DEADLINE=${DRAIN_DEADLINE_SECONDS}
# Seconds to a first token. Cloudflare itself gives up after 100 (error 524).
TOLLGATE_FIRST_TOKEN_DEADLINE=${FIRST_TOKEN_DEADLINE_SECONDS}
`;
}

function tunnelEnv({ publicUrl }: Recipe): string {
  return `# Settings of cloudflared. Secret: mode 0600.
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
