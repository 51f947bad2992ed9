/**
 * Mutations of the real code, each of which removes a guard, and the laws that must then be broken: the proof that
 * simulation and laws would find such a bug. An edit whose text is no longer in the code is an error, so that this table
 * must follow the code.
 */
import type { LawName } from '../laws/world.ts';
import type { Edit } from './bundle/bundle.ts';
import type { ScenarioName } from './scenarios.ts';

export interface Mutation {
  readonly what: string;
  readonly edits: readonly Edit[];
  /** At least one of these laws must be broken. */
  readonly expects: readonly LawName[];
  readonly scenario?: ScenarioName;
  readonly requests?: number;
}

const WALLET = 'worker/wallet/wallet.ts';
const ADMISSION = 'worker/wallet/admission.ts';
const SETTLEMENT = 'worker/wallet/settlement.ts';
const LEASES = 'worker/wallet/leases.ts';
const HOLD_WINDOW = 'worker/gateway/hold/hold-window.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'a hold may exceed the available balance',
    expects: ['L2'],
    edits: [
      edit(ADMISSION, 'nanoUsd(Math.min(wantedNanoUsd, available, tokenLeft, ...capsLeft))', 'wantedNanoUsd'),
      edit(
        'worker/wallet/ledger-store.ts',
        'const isFunded = heldNanoUsd <= grantedNanoUsd + paidNanoUsd;',
        'const isFunded = true;',
      ),
    ],
  },
  {
    what: 'a charge does not release its hold',
    expects: ['L4'],
    edits: [edit(SETTLEMENT, 'heldByNanoUsd: 0 - request.heldNanoUsd,', 'heldByNanoUsd: 0,')],
  },
  {
    what: 'a hold that grows is added twice',
    expects: ['L4'],
    edits: [edit(ADMISSION, 'changeHeld(more)', 'changeHeld(heldNanoUsd)')],
  },
  {
    what: 'a request can end twice',
    expects: ['L3'],
    scenario: 'harsh',
    requests: 1_200,
    edits: [
      edit(
        WALLET,
        "return request.state === 'held' ? this.#settlement.resolve(request, end, nowMs) : publicRecord(request);",
        'return this.#settlement.resolve(request, end, nowMs);',
      ),
    ],
  },
  {
    what: 'more may be billed than the hold covers',
    expects: ['L4'],
    scenario: 'harsh',
    requests: 4_000,
    edits: [
      edit(SETTLEMENT, 'coveredUsage(end.usage, request.heldNanoUsd, request.price)', 'end.usage'),
      edit(HOLD_WINDOW, 'const heldNanoUsd = this.#heldNanoUsd;', 'const heldNanoUsd = 10 ** 15;'),
      edit(
        HOLD_WINDOW,
        'return coveredUsage(usage, this.#heldNanoUsd, this.#admission.price);',
        'return usage;',
      ),
    ],
  },
  {
    what: 'another token count is billed than was used',
    expects: ['L7'],
    edits: [
      edit(
        'worker/gateway/settlement.ts',
        'billed: billable ? { usage, ttftMs, conversation } : null',
        'billed: billable ? { usage: { ...usage, completionTokens: usage.completionTokens + 1 }, ttftMs, conversation } : null',
      ),
    ],
  },
  {
    what: 'a client that disconnects pays nothing',
    expects: ['L7'],
    edits: [
      edit(
        'worker/gateway/settlement.ts',
        '(usage.completionTokens > 0 && (outcome.delivered',
        "(usage.completionTokens > 0 && ending !== 'client_gone' && (outcome.delivered",
      ),
    ],
  },
  {
    what: 'an answer that was not delivered is charged',
    expects: ['L8'],
    scenario: 'harsh',
    edits: [
      edit('worker/gateway/settlement.ts', "(outcome.delivered || ending !== 'node_failed')", 'true'),
      // so that the first failure is the last: three in a row are rare
      edit('worker/gateway/forward.ts', 'export const ATTEMPTS_MAX = 3;', 'export const ATTEMPTS_MAX = 1;'),
    ],
  },
  {
    what: 'a request that no node served is not voided',
    expects: ['L8', 'L3'],
    scenario: 'harsh',
    edits: [
      edit(
        'worker/gateway/answer.ts',
        'if (!result.ok) await context.admission.hold.void(result.nodeId);',
        '',
      ),
    ],
  },
  {
    what: 'orphaned holds are never settled',
    expects: ['L3', 'L13'],
    edits: [edit(SETTLEMENT, 'if (nowMs <= request.holdExpiresAtMs) return;', 'if (nowMs > 0) return;')],
  },
  {
    what: 'the credit of a lease is not held',
    expects: ['L2'],
    edits: [edit(LEASES, 'if (more.nanoUsd !== 0) ledgerStore.changeHeld(more.nanoUsd);', '')],
  },
  {
    what: 'a repeated lease report is charged again',
    expects: ['L1', 'L10'],
    edits: [edit(LEASES, 'ended.slice(Math.max(0, lease.reported - reportedBefore))', 'ended.slice(0)')],
  },
  {
    what: 'a repeated receipt is counted again',
    expects: ['L10'],
    edits: [
      edit(
        'worker/wallet/receipt-intake.ts',
        "if (isOwn && proof !== 'none') return;",
        'if (nowMs < 0) return;',
      ),
    ],
  },
  {
    what: 'the leases of lost isolates are never returned',
    expects: ['L3', 'L13'],
    edits: [edit(LEASES, 'if (nowMs <= lease.expiresAtMs) continue;', 'if (nowMs > 0) continue;')],
  },
  {
    what: 'a lease does not take the receipts of its requests',
    expects: ['L3', 'L5'],
    edits: [edit(LEASES, 'if (!lease) return false;', 'if (nowMs > 0 || !lease) return false;')],
  },
  {
    what: 'a part of usage may be larger than its whole',
    expects: ['L7', 'L5'],
    scenario: 'harsh',
    edits: [
      edit(
        'gpu-pool/protocol/schemas.ts',
        ".refine((usage) => usage.cached_tokens <= usage.prompt_tokens, 'cached_tokens exceeds prompt_tokens')",
        '',
      ),
      edit('worker/gateway/node/chunk.ts', ' && cached_tokens <= prompt_tokens', ''),
      edit('gpu-pool/answers/marks.ts', 'cached_tokens > prompt_tokens || ', ''),
      edit('worker/domain/usage.ts', 'usage.cachedTokens <= usage.promptTokens &&', ''),
    ],
  },
  {
    what: 'another node is tried after a byte was sent',
    expects: ['L6'],
    edits: [
      edit(
        'worker/gateway/streamed-answer.ts',
        'const events = forwarded.reader.marks.last?.events ?? 0;',
        `const events = forwarded.reader.marks.last?.events ?? 0;
         const again = outcome.ending === 'node_failed' ? await beginStream(context) : null;
         if (again?.ok) return again.passOn(client);`,
      ),
    ],
  },
  {
    what: 'a request is tried at every node',
    expects: ['L6'],
    scenario: 'harsh',
    edits: [
      edit('worker/gateway/forward.ts', 'export const ATTEMPTS_MAX = 3;', 'export const ATTEMPTS_MAX = 9;'),
    ],
  },
  {
    what: 'retries have no budget',
    expects: ['L6'],
    scenario: 'storm',
    requests: 1_200,
    edits: [edit('worker/gateway/forward.ts', 'const RETRIES_ALWAYS = 3;', 'const RETRIES_ALWAYS = 3_000;')],
  },
  {
    what: 'an idempotency key is always fresh',
    expects: ['L3'],
    edits: [
      edit(
        'worker/domain/idempotency.ts',
        "if (known.answer === 'kept') return 'replay';",
        "if (known.answer === 'kept') return 'fresh';",
      ),
    ],
  },
  {
    what: 'an earlier charge under the same idempotency key is not refunded',
    expects: ['L3'],
    scenario: 'harsh',
    edits: [edit(SETTLEMENT, 'if (back === 0) return back;', 'if (back >= 0) return nanoUsd(0);')],
  },
  {
    what: 'a refund still counts as spent',
    expects: ['L10'],
    scenario: 'harsh',
    edits: [edit('worker/wallet/schema.ts', "e.kind IN ('charge', 'correction')", "e.kind = 'charge'")],
  },
  {
    what: 'entries are not chained',
    expects: ['L10'],
    edits: [edit('worker/wallet/ledger.ts', 'hashInput(head.hash, body)', "hashInput('', body)")],
  },
  {
    what: 'a fold loses a nano-USD',
    expects: ['L10'],
    requests: 2_000,
    edits: [
      edit(
        'worker/domain/ledger.ts',
        "[seq, hash, grantedNanoUsd, paidNanoUsd].join(':')",
        "[seq, hash, grantedNanoUsd, paidNanoUsd - 1].join(':')",
      ),
    ],
  },
  {
    what: 'an opening names another end of the chain',
    expects: ['L10'],
    requests: 2_000,
    edits: [
      edit('worker/domain/ledger.ts', 'return [seq, hash, granted', 'return [seq, GENESIS_HASH, granted'),
    ],
  },
  {
    what: 'a fold removes an entry that its opening does not stand for',
    expects: ['L10'],
    requests: 2_000,
    edits: [
      edit(
        'worker/wallet/fold.ts',
        'ledgerStore.fold(entry.seq, state.seq)',
        'ledgerStore.fold(entry.seq, state.seq + 1)',
      ),
      edit(
        'worker/wallet/schema.ts',
        '(SELECT opening_seq FROM checkpoint)), 0)\nBEGIN',
        '(SELECT opening_seq FROM checkpoint)), 0) + 1\nBEGIN',
      ),
    ],
  },
  {
    what: 'the rollups count items that are published again',
    expects: ['L10'],
    requests: 4_000,
    edits: [
      edit(
        'worker/db/projection.ts',
        'items.filter(({ seq }) => seq > publishedSeq)',
        'items.filter(() => true)',
      ),
      edit('worker/db/projection-sql.ts', "'0.0') = ?2`;", "'0.0') IS NOT ?2 || '!'`;"),
      edit('worker/db/projection.ts', 'results.at(-1)!.meta.changes === 1', 'results.length > 0'),
    ],
  },
  {
    what: 'granted credit counts as paid credit',
    expects: ['L10'],
    edits: [edit(SETTLEMENT, 'nanoUsd(entry === null ? 0 : 0 - entry.grantedNanoUsd)', 'nanoUsd(0)')],
  },
  {
    what: 'items leave the outbox before D1 has them',
    expects: ['L10'],
    edits: [
      edit(
        'worker/wallet/outbox.ts',
        'await project(',
        'requestStore.published(lastSeq); outboxStore.dequeue(items.map(({ seq }) => seq)); await project(',
      ),
    ],
  },
  {
    what: 'a receipt is published with its request although that may have been published without it',
    expects: ['L10'],
    edits: [
      edit(
        'worker/wallet/request-store.ts',
        'unpublished === undefined || unpublished.outboxSeq <= this.#begunSeq',
        'unpublished === undefined',
      ),
    ],
  },
  {
    what: 'a number of the outbox is given twice',
    expects: ['L10'],
    requests: 3_000,
    edits: [
      edit('worker/wallet/outbox-store.ts', 'if (last > 0) this.#sql.exec', 'if (last < 0) this.#sql.exec'),
    ],
  },
  {
    what: 'a checkpoint forgets what was spent since the last one',
    expects: ['L10'],
    edits: [edit('worker/wallet/checkpoint.ts', 'spendStore.store();', '')],
  },
  {
    what: 'an order is credited by each of its events',
    expects: ['L9'],
    edits: [
      edit(
        'worker/billing/paid.ts',
        '.topUp({ orderId: order.id, amountNanoUsd })',
        `.topUp({ orderId: \`\${order.id}-\${Date.now()}\`, amountNanoUsd })`,
      ),
    ],
  },
  {
    what: 'an event may name another amount',
    expects: ['L9'],
    requests: 1_500,
    edits: [
      edit(
        'worker/billing/receive.ts',
        'expected === event.amountCents * NANO_PER_CENT ? null',
        'expected > 0 ? null',
      ),
    ],
  },
  {
    what: 'a forged event is believed',
    expects: ['L9'],
    requests: 1_500,
    edits: [
      edit('worker/lib/standard-webhooks.ts', 'if (!matches.includes(true))', 'if (matches.length === 0)'),
    ],
  },
  {
    what: 'a key is cached for an hour',
    expects: ['L12'],
    requests: 6_000,
    edits: [
      edit('worker/http/authenticate.ts', 'const KEY_TTL_MS = 5_000;', 'const KEY_TTL_MS = 3_600_000;'),
    ],
  },
  {
    what: 'the price is not the one in force at admission',
    expects: ['L1'],
    edits: [
      edit(
        'worker/gateway/admit.ts',
        'priceAt(model.prices, tariff, nowMs)',
        'priceAt(model.prices, tariff, nowMs - 40_000_000)',
      ),
    ],
  },
  {
    what: 'paid credit is spent first',
    expects: ['L1'],
    edits: [
      edit(
        'worker/domain/ledger.ts',
        'const granted = Math.min(credit.grantedNanoUsd, charge);',
        'const granted = charge - Math.min(credit.paidNanoUsd, charge);',
      ),
    ],
  },
  {
    what: 'the charge differs from usage times price',
    expects: ['L1'],
    edits: [
      edit(
        SETTLEMENT,
        'const chargeNanoUsd = chargeFor(usage, request.price);',
        'const chargeNanoUsd = nanoUsd(Math.ceil(chargeFor(usage, request.price) / 10) * 10 + 10);',
      ),
    ],
  },
  {
    what: 'a write-off is lost',
    expects: ['L5'],
    edits: [
      edit(
        'worker/wallet/receipts.ts',
        'writeOff: off,',
        'writeOff: off && { promptTokens: 0, completionTokens: 0, reason: null },',
      ),
    ],
  },
  {
    what: 'receipts that arrive after the end are ignored',
    expects: ['L5'],
    edits: [
      edit('worker/wallet/receipt-intake.ts', 'receipts.compare(receipt, ended, agreed, nowMs);', 'return;'),
    ],
  },
  {
    what: 'accounts share one prefix cache',
    expects: ['L11'],
    edits: [edit('worker/gateway/cache-salt.ts', `\`cache-salt:\${accountId}\``, "'cache-salt'")],
  },
  {
    what: 'a key is logged',
    expects: ['L11'],
    edits: [
      edit(
        'worker/http/authenticate.ts',
        'const fresh = await Promise.all(',
        'console.log(secret);\n  const fresh = await Promise.all(',
      ),
    ],
  },
  {
    what: 'the Pool ignores signs of life',
    expects: ['L13'],
    edits: [edit('worker/fleet/pool.ts', '    known.lastHeartbeatMs = atMs;\n', '')],
  },
];

function edit(file: string, find: string, replace: string): Edit {
  return { file, find, replace };
}
