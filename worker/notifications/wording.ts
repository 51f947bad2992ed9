/** A notice in a person's language: a title, a sentence, and the portal page with the details. */
import type { NanoUsd } from '../domain/money.ts';
import type { Notice } from '../domain/notice.ts';
import type { Words } from '../i18n/words.ts';

type Kind = Notice['kind'];
type Of<K extends Kind> = Extract<Notice, { kind: K }>;
type Language = Pick<Words, 't' | 'f'>;

export interface NoticeWords {
  readonly title: string;
  readonly text: string;
  /** path of the page on the portal */
  readonly path: string;
}

/** @param keyLabel how to call the key that the notice is about; null: it is about no key, or the key is unknown */
export function noticeWords(notice: Notice, language: Language, keyLabel: string | null): NoticeWords {
  const word = WORDING[notice.kind] as (
    notice: Notice,
    language: Language,
    key: string | null,
  ) => NoticeWords;
  return word(notice, language, keyLabel);
}

const WORDING: { [K in Kind]: (notice: Of<K>, language: Language, keyLabel: string | null) => NoticeWords } =
  {
    'balance.low': ({ balanceNanoUsd, belowNanoUsd }, { t: { alerts }, f }) => ({
      title: alerts.notices.lowBalance,
      text: alerts.notices.lowBalanceText(exact(f, balanceNanoUsd), exact(f, belowNanoUsd)),
      path: '/billing',
    }),
    'cap.used': (notice, { t: { alerts, keys }, f }, keyLabel) => ({
      title: alerts.notices.capUsed(f.percent(notice.percent / 100)),
      text: alerts.notices.capUsedText(
        exact(f, notice.spentNanoUsd),
        exact(f, notice.capNanoUsd),
        keys.periods[notice.capPeriod],
        notice.keyId === null ? alerts.account : alerts.notices.keyNamed(keyLabel ?? notice.keyId),
      ),
      path: '/alerts',
    }),
    'recharge.paid': ({ amountNanoUsd }, { t: { alerts }, f }) => ({
      title: alerts.notices.rechargePaid,
      text: alerts.notices.rechargePaidText(exact(f, amountNanoUsd)),
      path: '/billing',
    }),
    'recharge.declined': ({ amountNanoUsd, why }, { t: { alerts, billing }, f }) => ({
      title: alerts.notices.rechargeDeclined,
      text: [
        alerts.notices.rechargeDeclinedText(exact(f, amountNanoUsd)),
        (billing.declines as Partial<Record<string, string>>)[why] ?? '',
      ]
        .join(' ')
        .trim(),
      path: '/billing',
    }),
    'recharge.monthly_max': ({ rechargedNanoUsd, monthlyMaxNanoUsd }, { t: { alerts }, f }) => ({
      title: alerts.notices.rechargeMax,
      text: alerts.notices.rechargeMaxText(exact(f, rechargedNanoUsd), exact(f, monthlyMaxNanoUsd)),
      path: '/billing',
    }),
    'model.ending': (notice, { t: { alerts }, f }) => ({
      title: alerts.notices.modelEnding(notice.modelId, f.date(notice.endsAtMs)),
      text: [
        alerts.notices.modelEndingText(notice.modelId, f.dateTime(notice.endsAtMs)),
        ...costWords(notice, alerts.notices, f),
      ].join(' '),
      path: '/pricing',
    }),
    'model.ended': (notice, { t: { alerts }, f }) => ({
      title: alerts.notices.modelEnded(notice.modelId),
      text: [
        alerts.notices.modelEndedText(notice.modelId, f.dateTime(notice.endsAtMs)),
        ...costWords(notice, alerts.notices, f),
      ].join(' '),
      path: '/pricing',
    }),
    'model.end_withdrawn': ({ modelId, endsAtMs }, { t: { alerts }, f }) => ({
      title: alerts.notices.modelStays(modelId),
      text: alerts.notices.modelStaysText(modelId, f.date(endsAtMs)),
      path: '/pricing',
    }),
    'endpoint.test': (_, { t: { alerts } }) => ({
      title: alerts.notices.test,
      text: alerts.notices.testText,
      path: '/alerts',
    }),
  };

/** The cost of the last week, and the cost of the same at the successor. */
function costWords(
  { weekNanoUsd, successorId, successorWeekNanoUsd }: Of<'model.ending' | 'model.ended'>,
  names: Words['t']['alerts']['notices'],
  f: Language['f'],
): string[] {
  const week = weekNanoUsd > 0 ? [names.modelWeek(f.usd(weekNanoUsd))] : [];
  if (successorId === null) return week;
  return successorWeekNanoUsd === null || weekNanoUsd === 0
    ? [...week, names.modelSuccessor(successorId)]
    : [...week, names.modelSuccessorWeek(successorId, f.usd(successorWeekNanoUsd))];
}

function exact(f: Language['f'], amount: NanoUsd): string {
  return f.usdExact(amount).join('');
}
