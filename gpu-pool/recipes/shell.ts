/**
 * Shell format: a script that starts engine, tunnel and agent in the foreground, and stops them in turn on Ctrl-C
 * or SIGTERM.
 */
import {
  CONTAINER,
  type CommandLine,
  dockerRun,
  ENGINE_STOP_SECONDS,
  STOP_ENGINE,
} from './engine-command.ts';
import { header } from './header.ts';
import { ENGINE_PORT, type Recipe, TUNNEL_METRICS_PORT } from './recipe.ts';
import type { RecipeFile } from './recipe-file.ts';
import { DRAIN_DEADLINE_SECONDS, secretFiles } from './secrets.ts';

export function shellFiles(recipe: Recipe): RecipeFile[] {
  const start = (text: string): RecipeFile => ({ name: 'start.sh', mode: 0o755, text });
  return recipe.rank === 0
    ? [start(nodeScript(recipe)), ...secretFiles(recipe)]
    : [start(engineScript(recipe))];
}

function nodeScript(recipe: Recipe): string {
  return `#!/usr/bin/env bash
${header(recipe, { tools: 'Docker, Node 24, cloudflared and curl.' })}
# Before the first start, fill in agent.env and tunnel.env beside this script. Ctrl-C or SIGTERM drains: running
# answers get up to ${DRAIN_DEADLINE_SECONDS} s, then engine and tunnel stop too. A second signal changes nothing; \`kill\` the agent to stop at once.
set -euo pipefail
umask 077
cd "$(dirname "\${BASH_SOURCE[0]}")"

# A checkout of Tollgate, after \`npm ci\`.
tollgate=${quote(recipe.checkoutDir)}

engine=(
${array(dockerRun(recipe, '$PWD/engine.yaml'))}
)

${FAIL}
for setting in agent.env:TOLLGATE_URL tunnel.env:TUNNEL_TOKEN; do
  grep --quiet "^\${setting#*:}=." "\${setting%:*}" || fail "Fill in \${setting#*:} in \${setting%:*}."
done

engine_pid='' tunnel_pid='' agent_pid=''

# The agent first: the answers that it finishes come from the engine and leave by the tunnel.
stop() {
  trap - EXIT
  trap '' INT TERM HUP
  end "$agent_pid"
  end "$tunnel_pid"
  ${END_ENGINE}
}
end() {
  [[ -n $1 ]] || return 0
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 0' INT TERM HUP

# setsid: Ctrl-C would otherwise reach all three at once, the engine while it still answers.
${START_ENGINE}

(
  set -a
  source ./tunnel.env
  exec setsid cloudflared tunnel --no-autoupdate --metrics 127.0.0.1:${TUNNEL_METRICS_PORT} run
) &
tunnel_pid=$!

${AWAIT_ENGINE}

(
  set -a
  source ./agent.env
  set +a
  cd "$tollgate"
  exec setsid node gpu-pool/agent/main.ts
) &
agent_pid=$!

wait -n "$engine_pid" "$tunnel_pid" "$agent_pid" || true
fail 'The engine, the tunnel or the agent exited, so the others are stopped.'
`;
}

/** The script of rank 1, where nothing of Tollgate runs. */
function engineScript(recipe: Recipe): string {
  return `#!/usr/bin/env bash
${header(recipe, { tools: 'Docker and curl.' })}
# Start it on both hosts; the engine loads once both are running. This host has no agent, tunnel or keys. Stop rank 0
# before this one: the engine answers nothing without rank 1.
set -euo pipefail

engine=(
${array(dockerRun(recipe, ''))}
)

${FAIL}
engine_pid=''
stop() {
  trap - EXIT
  trap '' INT TERM HUP
  ${END_ENGINE}
}
trap stop EXIT
trap 'exit 0' INT TERM HUP

${START_ENGINE}
${AWAIT_ENGINE}

wait "$engine_pid" || true
fail 'The engine has exited.'
`;
}

const FAIL = `fail() {
  echo "$1" >&2
  exit 1
}`;

/** The engine's end is bounded: what outlasts even SIGKILL, as within a driver's call, is left behind. */
const END_ENGINE = `timeout ${ENGINE_STOP_SECONDS} ${STOP_ENGINE} >/dev/null 2>&1 || true
  [[ -n $engine_pid ]] || return 0
  for _ in {1..100}; do
    kill -0 "$engine_pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$engine_pid" 2>/dev/null || true`;

const START_ENGINE = `docker rm --force ${CONTAINER} >/dev/null 2>&1 || true
setsid "\${engine[@]}" &
engine_pid=$!`;

const AWAIT_ENGINE = `echo 'The engine is loading. This takes 10 to 30 minutes, or hours if the weights must be downloaded first.' >&2
until curl --silent --fail --max-time 25 --output /dev/null http://127.0.0.1:${ENGINE_PORT}/health; do
  kill -0 "$engine_pid" 2>/dev/null || fail 'The engine has exited; its last output is above.'
  sleep 5
done
echo 'The engine is ready.' >&2`;

/** The words of a Bash array. Bash accepts comments between them. */
function array(lines: readonly CommandLine[]): string {
  return lines
    .filter(({ words }) => words.length > 0)
    .map(({ words, why }) => `${why === undefined ? '' : `  # ${why}\n`}  ${words.map(quote).join(' ')}`)
    .join('\n');
}

/** Quotes a word. Only $PWD is meant to be expanded; the rest stays literal. */
function quote(word: string): string {
  if (/^[\w./:=@,+-]+$/.test(word)) return word;
  return word.includes('$PWD') ? `"${word}"` : `'${word.replaceAll("'", `'\\''`)}'`;
}
