/**
 * `npm run audit`: replays wallets and compares them with their projections, entry by entry; checks each part of the
 * archive and the hourly rollups against D1 and the archive together.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import { AUDIT_START, type AuditCursor, type Finding } from '../../worker/domain/ledger-audit.ts';
import { operatorApi } from './stack.ts';

/** The edge's answer; see worker/billing/ledger-audit.ts. */
interface Page {
  findings: Finding[];
  mark: AuditCursor;
  checked: number;
  complete: boolean;
}

/** The edge's answer; see worker/archive/archive-audit.ts. */
interface ArchivePage {
  findings: Finding[];
  /** Where the next page begins, as the edge reads it; null: the audit is complete. */
  mark: unknown;
  checked: number;
}

const USAGE = `Usage: npm run audit -- [--edge http://localhost:8787] [--account acct_…]
Checks every account, or only the given one. The operator token is read from OPERATOR_TOKEN or .tollgate/edge.env.`;

const { values } = parseArgs({
  options: {
    edge: { type: 'string', default: process.env.TOLLGATE_EDGE ?? 'http://localhost:8787' },
    account: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

try {
  const accounts = values.account ? [values.account] : await allAccounts();
  let differing = 0;
  let entries = 0;
  let parts = 0;
  for (const account of accounts) {
    const ledger = await auditAccount(account);
    const archive = await auditArchive(account);
    entries += ledger.checked;
    parts += archive.checked;
    const findings = [...ledger.findings, ...archive.findings];
    differing += findings.length > 0 ? 1 : 0;
    for (const { about, what } of findings) console.log(`${account}: ${about} ${what}`);
  }
  const verdict = differing === 0 ? 'All ledgers match.' : `${differing} of them differ.`;
  console.log(
    `${accounts.length} accounts, ${entries} entries and ${parts} parts of the archive checked. ${verdict}`,
  );
  process.exit(differing === 0 ? 0 : 1);
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}

async function auditAccount(account: string): Promise<Pick<Page, 'findings' | 'checked'>> {
  let mark = AUDIT_START;
  const findings: Finding[] = [];
  let checked = 0;
  for (;;) {
    const page = await call<Page>('POST', `/accounts/${account}/books`, mark);
    findings.push(...page.findings);
    checked += page.checked;
    if (page.complete) return { findings, checked };
    mark = page.mark;
    if (process.stdout.isTTY) process.stdout.write(`\r${account}: ${checked} entries…`);
  }
}

async function auditArchive(account: string): Promise<Pick<ArchivePage, 'findings' | 'checked'>> {
  const findings: Finding[] = [];
  let checked = 0;
  let mark: unknown = { kind: 'requests', seq: 0, hash: null };
  while (mark !== null) {
    const page = await call<ArchivePage>('POST', `/accounts/${account}/archive`, mark);
    findings.push(...page.findings);
    checked += page.checked;
    ({ mark } = page);
  }
  return { findings, checked };
}

async function allAccounts(): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const { accounts } = await call<{ accounts: string[] }>('GET', `/accounts?after=${all.at(-1) ?? ''}`);
    if (accounts.length === 0) return all;
    all.push(...accounts);
  }
}

function call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
  return operatorApi<T>({ url: values.edge, operatorToken: operatorToken() }, method, path, body);
}

function operatorToken(): string {
  const file = join(process.env.TOLLGATE_STATE ?? '.tollgate', 'edge.env');
  const token =
    process.env.OPERATOR_TOKEN ??
    (existsSync(file) ? parseEnv(readFileSync(file, 'utf8')).OPERATOR_TOKEN : undefined);
  if (token === undefined) throw new Error('Set OPERATOR_TOKEN to the edge’s secret of that name.');
  return token;
}
