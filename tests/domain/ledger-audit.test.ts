/** The ledger against a reference in two sums, and the audit against anybody who changes a figure. */
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
  type AuditPage,
  type ChargedRequest,
  checkAuditPage,
  AUDIT_START,
} from '../../worker/domain/ledger-audit.ts';
import { nanoUsd } from '../../worker/domain/money.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const none: Credit = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: nanoUsd(0) };

/** A chain of entries as the Wallet would make them from these movements, each within the balance. */
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
    };
    const moved = legs[kind]();
    credit = {
      grantedNanoUsd: nanoUsd(credit.grantedNanoUsd + moved.grantedNanoUsd),
      paidNanoUsd: nanoUsd(credit.paidNanoUsd + moved.paidNanoUsd),
    };
    const seq = entries.length + 1;
    const balanceNanoUsd = nanoUsd(credit.grantedNanoUsd + credit.paidNanoUsd);
    const body = { seq, atMs: 1_000 + seq, kind, reference: `ref_${seq}`, ...moved, balanceNanoUsd };
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

/** What D1 has when it was told everything: the same entries, and a request of one price for each charge. */
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
  it('is never below zero, granted is spent before paid, and taken back after it', () => {
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
  it('finds nothing in a ledger that is whole, page by page as well', () => {
    fc.assert(
      fc.property(anyLedger, fc.nat(25), (entries, cut) => {
        const first = checkAuditPage(AUDIT_START, pageOf(entries.slice(0, cut)), sha256);
        const second = checkAuditPage(first.mark, { ...pageOf(entries), entries: entries.slice(cut) }, sha256);
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
        fc.integer().filter((by) => by !== 0),
        (entries, pick, field, by) => {
          const at = pick % entries.length;
          const changed = entries.map((entry, i) =>
            i === at ? { ...entry, [field]: nanoUsd(entry[field] + by) } : entry,
          );
          const page = { ...pageOf(entries), [where]: changed };
          expect(checkAuditPage(AUDIT_START, page, sha256).findings).not.toEqual([]);
        },
      ),
    );
  });

  describe('of an entry that charged several requests', () => {
    /** A charge of 6 for requests of 1, 2 and 3. */
    function ofThree() {
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
    const saidOf = (page: AuditPage) => checkAuditPage(AUDIT_START, page, sha256).findings.map(({ what }) => what);

    it('finds nothing when they make its sum and its span', () => {
      expect(saidOf(ofThree().page)).toEqual([]);
    });

    it('finds one that is missing, at an end of the span or within', () => {
      const { page, requests } = ofThree();
      for (let out = 0; out < 3; out++) {
        const left = requests.filter((_, i) => i !== out);
        const sum = 6 - requests[out]!.chargeNanoUsd;
        expect(saidOf({ ...page, requests: left })).toContain(`took 6, its requests in D1 sum to ${sum}`);
      }
      expect(saidOf({ ...page, requests: requests.slice(0, 2) })).toContain('belongs to req_a..req_b in D1');
      expect(saidOf({ ...page, requests: [] })).toEqual(['has no request in D1']);
    });

    it('finds two that are wrong by as much, of which the sum is right', () => {
      const { page, requests } = ofThree();
      const [b, a, c] = requests as [ChargedRequest, ChargedRequest, ChargedRequest];
      const shifted = [{ ...b, chargeNanoUsd: 2 }, { ...a, chargeNanoUsd: 1 }, c];
      expect(saidOf({ ...page, requests: shifted })).toEqual([
        'took 2 for req_b, tokens × p/1 is 1',
        'took 1 for req_a, tokens × p/1 is 2',
      ]);
    });
  });

  it('finds an entry that was taken out, put elsewhere or made up', () => {
    fc.assert(
      fc.property(
        anyLedger.filter((entries) => entries.length > 2),
        fc.nat(),
        fc.constantFrom('out', 'swap', 'extra'),
        (entries, pick, how) => {
          const at = pick % (entries.length - 1);
          const changed = [...entries];
          if (how === 'out') changed.splice(at, 1);
          if (how === 'swap') [changed[at], changed[at + 1]] = [changed[at + 1]!, changed[at]!];
          if (how === 'extra') changed.splice(at, 0, { ...entries[at]!, reference: 'made_up' });
          expect(
            checkAuditPage(AUDIT_START, { ...pageOf(entries), entries: changed }, sha256).findings,
          ).not.toEqual([]);
        },
      ),
    );
  });
});
