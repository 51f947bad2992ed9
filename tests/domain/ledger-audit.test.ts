/** Tests the ledger against a reference of two running sums, and that the audit finds any figure that was changed. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Credit,
  chargeLegs,
  chargeReference,
  correctionLegs,
  type Entry,
  type EntryKind,
  GENESIS_HASH,
  hashInput,
} from '../../worker/domain/ledger.ts';
import {
  AUDIT_START,
  type AuditPage,
  type ChargedRequest,
  checkAuditPage,
} from '../../worker/domain/ledger-audit.ts';
import { nanoUsd } from '../../worker/domain/money.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const none: Credit = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: nanoUsd(0) };

/** Makes the chain of entries that a Wallet would make from these movements. Amounts are cut to the balance. */
function ledgerOf(movements: readonly { kind: EntryKind; amount: number }[]): Entry[] {
  const entries: Entry[] = [];
  let credit = none;
  let head = GENESIS_HASH;
  for (const { kind, amount } of movements) {
    const balance = credit.grantedNanoUsd + credit.paidNanoUsd;
    const legs: Record<EntryKind, () => Credit> = {
      grant: () => ({ ...none, grantedNanoUsd: nanoUsd(amount) }),
      top_up: () => ({ ...none, paidNanoUsd: nanoUsd(amount) }),
      charge: () => chargeLegs(credit, nanoUsd(Math.min(amount, balance))),
      correction: () => correctionLegs(credit, nanoUsd(-Math.min(amount, balance))),
      opening: () => none,
    };
    const entryLegs = legs[kind]();
    credit = {
      grantedNanoUsd: nanoUsd(credit.grantedNanoUsd + entryLegs.grantedNanoUsd),
      paidNanoUsd: nanoUsd(credit.paidNanoUsd + entryLegs.paidNanoUsd),
    };
    const seq = entries.length + 1;
    const balanceNanoUsd = nanoUsd(credit.grantedNanoUsd + credit.paidNanoUsd);
    const body = { seq, atMs: 1_000 + seq, kind, reference: `ref_${seq}`, ...entryLegs, balanceNanoUsd };
    head = sha256(hashInput(head, body));
    entries.push({ ...body, hash: head });
  }
  return entries;
}

const movement = fc.record({
  kind: fc.constantFrom<EntryKind>('grant', 'top_up', 'charge', 'correction'),
  amount: fc.integer({ min: 1, max: 10_000_000_000 }),
});
const anyLedger = fc.array(movement, { minLength: 1, maxLength: 25 }).map(ledgerOf);

/** An audit page with a complete projection: the same entries, and one request for each charge. */
function pageOf(entries: readonly Entry[]): AuditPage {
  const price = { id: 'p/1', cacheHitNanoUsd: 1, cacheMissNanoUsd: 1, outputNanoUsd: 1 };
  const requests = entries
    .filter(({ kind }) => kind === 'charge')
    .map(({ seq, reference, grantedNanoUsd, paidNanoUsd }) => ({
      requestId: reference,
      entrySeq: seq,
      usage: {
        promptTokens: 0,
        cachedTokens: 0,
        completionTokens: -(grantedNanoUsd + paidNanoUsd),
        reasoningTokens: 0,
      },
      price,
      chargeNanoUsd: -(grantedNanoUsd + paidNanoUsd),
    }));
  return { entries, projected: entries, requests, unpublishedFromSeq: entries.length + 1 };
}

describe('credit', () => {
  it('is never below zero; granted credit is spent before paid credit, and taken back after it', () => {
    fc.assert(
      fc.property(anyLedger, (entries) => {
        let granted = 0;
        let paid = 0;
        for (const { kind, grantedNanoUsd, paidNanoUsd } of entries) {
          if (kind === 'charge' && paidNanoUsd < 0) expect(granted + grantedNanoUsd).toBe(0);
          if (kind === 'correction' && grantedNanoUsd < 0) expect(paid + paidNanoUsd).toBe(0);
          granted += grantedNanoUsd;
          paid += paidNanoUsd;
          expect(Math.min(granted, paid)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe('the audit', () => {
  it('finds nothing in a sound ledger, in one page or two', () => {
    fc.assert(
      fc.property(anyLedger, fc.nat(25), (entries, cut) => {
        const first = checkAuditPage(AUDIT_START, pageOf(entries.slice(0, cut)), sha256);
        const second = checkAuditPage(
          first.mark,
          { ...pageOf(entries), entries: entries.slice(cut) },
          sha256,
        );
        expect([...first.findings, ...second.findings]).toEqual([]);
        expect(second.mark.balanceNanoUsd).toBe(entries.at(-1)!.balanceNanoUsd);
      }),
    );
  });

  const FIELDS = ['seq', 'atMs', 'grantedNanoUsd', 'paidNanoUsd', 'balanceNanoUsd'] as const;
  it.each(['entries', 'projected'] as const)('finds any figure that was changed in %s', (where) => {
    fc.assert(
      fc.property(
        anyLedger,
        fc.nat(),
        fc.constantFrom(...FIELDS),
        fc.integer().filter((delta) => delta !== 0),
        (entries, pick, field, delta) => {
          const at = pick % entries.length;
          const changed = entries.map((entry, i) =>
            i === at ? { ...entry, [field]: nanoUsd(entry[field] + delta) } : entry,
          );
          const page = { ...pageOf(entries), [where]: changed };
          expect(checkAuditPage(AUDIT_START, page, sha256).findings).not.toEqual([]);
        },
      ),
    );
  });

  describe('of an entry that charged several requests', () => {
    /** A charge of 6 for requests of 1, 2 and 3. */
    function threeRequests() {
      const [grant] = ledgerOf([{ kind: 'grant', amount: 10 }]);
      const ids = ['req_b', 'req_a', 'req_c'];
      const body = {
        seq: 2,
        atMs: 2_000,
        kind: 'charge' as const,
        reference: chargeReference(ids),
        grantedNanoUsd: nanoUsd(-6),
        paidNanoUsd: nanoUsd(0),
        balanceNanoUsd: nanoUsd(4),
      };
      const entries = [grant!, { ...body, hash: sha256(hashInput(grant!.hash, body)) }];
      const [model] = pageOf(
        ledgerOf([
          { kind: 'grant', amount: 1 },
          { kind: 'charge', amount: 1 },
        ]),
      ).requests;
      const requests = ids.map((requestId, i) => ({
        ...model!,
        requestId,
        entrySeq: 2,
        usage: { ...model!.usage, completionTokens: i + 1 },
        chargeNanoUsd: i + 1,
      }));
      return { page: { ...pageOf(entries), requests }, requests };
    }
    const findingsIn = (page: AuditPage) =>
      checkAuditPage(AUDIT_START, page, sha256).findings.map(({ what }) => what);

    it('finds nothing when they match its sum and its span', () => {
      expect(findingsIn(threeRequests().page)).toEqual([]);
    });

    it('finds a missing one, at an end of the span or within', () => {
      const { page, requests } = threeRequests();
      for (let out = 0; out < 3; out++) {
        const rest = requests.filter((_, i) => i !== out);
        const sum = 6 - requests[out]!.chargeNanoUsd;
        expect(findingsIn({ ...page, requests: rest })).toContain(`took 6, its requests in D1 sum to ${sum}`);
      }
      expect(findingsIn({ ...page, requests: requests.slice(0, 2) })).toContain(
        'belongs to req_a..req_b in D1',
      );
      expect(findingsIn({ ...page, requests: [] })).toEqual(['has no request in D1']);
    });

    it('finds two whose errors cancel in the sum', () => {
      const { page, requests } = threeRequests();
      const [b, a, c] = requests as [ChargedRequest, ChargedRequest, ChargedRequest];
      const shifted = [{ ...b, chargeNanoUsd: 2 }, { ...a, chargeNanoUsd: 1 }, c];
      expect(findingsIn({ ...page, requests: shifted })).toEqual([
        'took 2 for req_b, tokens × p/1 is 1',
        'took 1 for req_a, tokens × p/1 is 2',
      ]);
    });
  });

  it('finds an entry that was removed, moved or invented', () => {
    fc.assert(
      fc.property(
        anyLedger.filter((entries) => entries.length > 2),
        fc.nat(),
        fc.constantFrom('remove', 'swap', 'insert'),
        (entries, pick, change) => {
          const at = pick % (entries.length - 1);
          const changed = [...entries];
          if (change === 'remove') changed.splice(at, 1);
          if (change === 'swap') [changed[at], changed[at + 1]] = [changed[at + 1]!, changed[at]!];
          if (change === 'insert') changed.splice(at, 0, { ...entries[at]!, reference: 'invented' });
          expect(
            checkAuditPage(AUDIT_START, { ...pageOf(entries), entries: changed }, sha256).findings,
          ).not.toEqual([]);
        },
      ),
    );
  });
});
