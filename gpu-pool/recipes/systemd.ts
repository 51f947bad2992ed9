/**
 * systemd format: a unit each for engine, tunnel and agent. The engine stays in its container, which brings CUDA or
 * ROCm.
 */
import {
  CONTAINER,
  type CommandLine,
  dockerRun,
  ENGINE_STOP_SECONDS,
  STOP_ENGINE,
} from './engine-command.ts';
import { header, title } from './header.ts';
import { ENGINE_PORT, type Recipe, TUNNEL_METRICS_PORT } from './recipe.ts';
import type { RecipeFile } from './recipe-file.ts';
import { AGENT_STOP_SECONDS, DRAIN_DEADLINE_SECONDS, secretFiles } from './secrets.ts';

const SETTINGS = '/etc/tollgate';

export function systemdFiles(recipe: Recipe): RecipeFile[] {
  const unit = (name: string, text: string): RecipeFile => ({
    name: `tollgate-${name}.service`,
    mode: 0o644,
    text,
  });
  const engine = unit('engine', engineUnit(recipe));
  return recipe.rank === 0
    ? [
        engine,
        unit('tunnel', tunnelUnit(recipe)),
        unit('agent', agentUnit(recipe)),
        ...secretFiles(recipe, { stateDir: '/var/lib/tollgate' }),
      ]
    : [engine];
}

function engineUnit(recipe: Recipe): string {
  return `${header(recipe, { tools: recipe.rank === 0 ? 'Docker, Node 24, cloudflared and curl.' : 'Docker and curl.' })}
${recipe.rank === 0 ? NODE_STEPS : RANK_1_STEPS}

[Unit]
Description=SGLang with ${recipe.model}
Documentation=https://docs.sglang.io/docs/advanced_features/server_arguments
Wants=network-online.target
Requires=docker.service
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=-docker rm --force ${CONTAINER}
ExecStart=${command(dockerRun(recipe, `${SETTINGS}/engine.yaml`))}
# Started only when it answers, which the agent waits for; given up as soon as the container ends.
ExecStartPost=sh -c 'until curl --silent --fail --max-time 25 --output /dev/null http://127.0.0.1:${ENGINE_PORT}/health; do kill -0 $MAINPID || exit 1; sleep 5; done'
ExecStop=${STOP_ENGINE}
Restart=always
RestartSec=10
# Loading takes 10 to 30 minutes, a download before it hours.
TimeoutStartSec=6h
TimeoutStopSec=${ENGINE_STOP_SECONDS}

# What is hardened here is docker's client. The engine lives in its container, whose limit of locked memory is the
# --ulimit above: LimitMEMLOCK= would be the client's.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=tmpfs
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
${HARDENING}
[Install]
WantedBy=multi-user.target
`;
}

const NODE_STEPS = `#   Before the first start, fill in agent.env and tunnel.env. Then, as root:
#   install -d -m 0700 ${SETTINGS}
#   install -m 0600 engine.yaml agent.env tunnel.env ${SETTINGS}
#   install -m 0644 tollgate-*.service /etc/systemd/system
#   systemctl daemon-reload
#   systemctl enable --now --no-block tollgate-engine tollgate-tunnel tollgate-agent
#
#   systemctl stop tollgate-agent     drains: running answers get up to ${DRAIN_DEADLINE_SECONDS} s`;

const RANK_1_STEPS = `#   On both hosts, as root; the engine loads once both are running:
#   install -m 0644 tollgate-engine.service /etc/systemd/system
#   systemctl daemon-reload
#   systemctl enable --now --no-block tollgate-engine
#
#   This host has no agent, tunnel or keys. Stop rank 0 before this one.`;

function tunnelUnit(recipe: Recipe): string {
  return `${title(recipe)}

[Unit]
Description=Cloudflare Tunnel to the Tollgate agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=${SETTINGS}/tunnel.env
ExecStart=cloudflared tunnel --no-autoupdate --metrics 127.0.0.1:${TUNNEL_METRICS_PORT} run
Restart=always
RestartSec=5
TimeoutStopSec=60

DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
${HARDENING}
[Install]
WantedBy=multi-user.target
`;
}

function agentUnit(recipe: Recipe): string {
  return `${title(recipe)}

[Unit]
Description=Tollgate agent of ${recipe.model}
# Wants, not Requires: an engine that fails once at boot would otherwise keep the agent from ever starting. PartOf
# stops and restarts the agent with the engine, and After, read backwards, stops it first: the answers that it
# finishes come from the engine and leave by the tunnel.
Wants=network-online.target tollgate-engine.service tollgate-tunnel.service
PartOf=tollgate-engine.service
After=network-online.target tollgate-engine.service tollgate-tunnel.service
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=${SETTINGS}/agent.env
# A checkout of Tollgate, after \`npm ci\`, that every user may read.
WorkingDirectory=${recipe.checkoutDir}
ExecStart=node gpu-pool/agent/main.ts
# Not always: a node that the edge has removed ends by itself, for good.
Restart=on-failure
RestartSec=15
# The drain's ${DRAIN_DEADLINE_SECONDS} s, and a minute for aborts and last receipts.
TimeoutStopSec=${AGENT_STOP_SECONDS}

DynamicUser=yes
# The node's identity and unacknowledged receipts.
StateDirectory=tollgate
StateDirectoryMode=0700
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
# AF_NETLINK lists this host's addresses, on which the agent looks for an exposed engine.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
${HARDENING}
[Install]
WantedBy=multi-user.target
`;
}

/** Hardening of all three units. MemoryDenyWriteExecute is missing because V8 compiles code as it runs. */
const HARDENING = `ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
`;

/** The lines of a command as one directive. systemd accepts comments between continued lines (systemd.syntax). */
function command(lines: readonly CommandLine[]): string {
  return lines
    .filter(({ words }) => words.length > 0)
    .map(({ words, why }, index) => {
      const text = words.map(quote).join(' ');
      if (index === 0) return text;
      return why === undefined ? `    ${text}` : `    # ${why}\n    ${text}`;
    })
    .join(' \\\n');
}

/** Quotes a word; % and $ are escaped because systemd would expand them. */
function quote(word: string): string {
  const literal = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w./:=@,+%$-]+$/.test(literal) ? literal : `"${literal.replaceAll(/["\\]/g, '\\$&')}"`;
}
