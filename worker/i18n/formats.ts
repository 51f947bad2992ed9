/** Numbers, money and time as a language writes them. Times are UTC, like the periods of caps and the usage buckets. */
import type { NumberMarks } from '../domain/decimal-text.ts';
import { formatUsd, NANO_PER_USD, type NanoUsd } from '../domain/money.ts';
import type { Locale } from './locale.ts';

export interface Formats {
  count(value: number): string;
  /** large counts short: 1.2M */
  shortCount(value: number): string;
  /** with one decimal place at most */
  ratio(value: number): string;
  /** 0 to 1 */
  percent(share: number): string;
  /** a size in bytes with three digits: 1.23 GB, in French 1,23 Go */
  bytes(count: number): string;
  /** rounded to the cent: prices, caps, credit */
  usd(nano: number): string;
  /** large amounts short: $1.2M */
  shortUsd(nano: number): string;
  /** exact, in parts: what comes before the cents' end, the digits after them (may be none), and what follows */
  usdExact(nano: NanoUsd): readonly [head: string, beyondCents: string, tail: string];
  /** exact without a currency sign, nine places, so that a column of amounts lines up; nothing is `0` */
  usdColumn(nano: NanoUsd): string;
  /** exact, without a currency sign or groups, as the value of a form's field */
  usdField(nano: NanoUsd): string;
  /** price of a million tokens, from nano-USD per token */
  usdPerMillion(nanoPerToken: number): string;
  /** three digits that count, for amounts under a cent */
  usdSmall(nano: number): string;
  dateTime(atMs: number): string;
  /** to the second */
  moment(atMs: number): string;
  date(atMs: number): string;
  /** hour and minute */
  time(atMs: number): string;
  /** to the second, without the day */
  clock(atMs: number): string;
  /** label of a chart's bucket: an hour, or a day and month */
  bucket(atMs: number, width: 'hour' | 'day'): string;
  duration(ms: number): string;
}

/** English dates as in Britain: day before month and a 24-hour clock suit a page of UTC times. */
const REGIONS: Record<Locale, { numbers: string; dates: string }> = {
  en: { numbers: 'en-US', dates: 'en-GB' },
  fr: { numbers: 'fr-FR', dates: 'fr-FR' },
};

/** How people write numbers into a page's fields. */
export const NUMBER_MARKS: Record<Locale, NumberMarks> = {
  en: { decimal: '.', groups: ',' },
  fr: { decimal: ',', groups: '' },
};

const made = new Map<Locale, Formats>();

/** Building an Intl formatter costs more than using it, so a language has one of each. */
export function formats(locale: Locale): Formats {
  const known = made.get(locale);
  if (known) return known;
  const fresh = build(locale);
  made.set(locale, fresh);
  return fresh;
}

/** The decimal places of an amount in USD: one nano-USD is the last of them. */
const PLACES = 9;

/** As text, because Intl reads a decimal text exactly and a float not quite. */
function decimal(nano: NanoUsd): Intl.StringNumericLiteral {
  return formatUsd(nano) as Intl.StringNumericLiteral;
}

function build(locale: Locale): Formats {
  const number = (options: Intl.NumberFormatOptions) =>
    new Intl.NumberFormat(REGIONS[locale].numbers, options);
  const time = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(REGIONS[locale].dates, { timeZone: 'UTC', ...options });
  return {
    ...numbers(number),
    ...amounts(number),
    usdField: (nano) => formatUsd(nano).replace('.', NUMBER_MARKS[locale].decimal),
    ...times(time),
    ...durations(number),
  };
}

type NewNumberFormat = (options: Intl.NumberFormatOptions) => Intl.NumberFormat;
type NewTimeFormat = (options: Intl.DateTimeFormatOptions) => Intl.DateTimeFormat;

function numbers(
  number: NewNumberFormat,
): Pick<Formats, 'count' | 'shortCount' | 'ratio' | 'percent' | 'bytes'> {
  const count = number({ maximumFractionDigits: 0 });
  const shortCount = number({ notation: 'compact', maximumFractionDigits: 1 });
  const ratio = number({ maximumFractionDigits: 1 });
  const percent = number({ style: 'percent', maximumFractionDigits: 1 });
  return {
    count: (value) => count.format(value),
    shortCount: (value) => shortCount.format(value),
    ratio: (value) => ratio.format(value),
    percent: (share) => percent.format(share),
    bytes: (bytes) => {
      const step = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
      const unit = number({ style: 'unit', unit: BYTE_UNITS[step]!, maximumSignificantDigits: 3 });
      return unit.format(bytes / 1_000 ** step);
    },
  };
}

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

type Amounts = 'usd' | 'shortUsd' | 'usdExact' | 'usdColumn' | 'usdPerMillion' | 'usdSmall';

function amounts(number: NewNumberFormat): Pick<Formats, Amounts> {
  const dollars = (options: Intl.NumberFormatOptions = {}) =>
    number({ style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol', ...options });
  const usd = dollars();
  const shortUsd = dollars({ notation: 'compact', maximumSignificantDigits: 3 });
  const exact = dollars({ minimumFractionDigits: PLACES });
  const column = number({ minimumFractionDigits: PLACES });
  const usdPerMillion = dollars({ maximumFractionDigits: 3 });
  const small = dollars({ maximumSignificantDigits: 3 });
  return {
    usd: (nano) => usd.format(nano / NANO_PER_USD),
    shortUsd: (nano) => shortUsd.format(nano / NANO_PER_USD),
    usdExact: (nano) => {
      const parts = exact.formatToParts(decimal(nano));
      const at = parts.findIndex(({ type }) => type === 'fraction');
      const text = (some: typeof parts) => some.map(({ value }) => value).join('');
      const fraction = parts[at]!.value;
      return [
        text(parts.slice(0, at)) + fraction.slice(0, 2),
        fraction.slice(2).replace(/0+$/, ''),
        text(parts.slice(at + 1)),
      ];
    },
    usdColumn: (nano) => (nano === 0 ? '0' : column.format(decimal(nano))),
    usdSmall: (nano) => small.format(nano / NANO_PER_USD),
    usdPerMillion: (nanoPerToken) => usdPerMillion.format(nanoPerToken / 1_000),
  };
}

type Times = 'dateTime' | 'moment' | 'date' | 'time' | 'clock' | 'bucket';

function times(format: NewTimeFormat): Pick<Formats, Times> {
  const day = { day: 'numeric', month: 'short', year: 'numeric' } as const;
  const minute = { hour: '2-digit', minute: '2-digit' } as const;
  const second = { ...minute, second: '2-digit' } as const;
  const date = format(day);
  const dateTime = format({ ...day, ...minute });
  const moment = format({ ...day, ...second });
  const time = format(minute);
  const clock = format(second);
  const dayMonth = format({ day: 'numeric', month: 'short' });
  return {
    moment: (atMs) => moment.format(atMs),
    dateTime: (atMs) => dateTime.format(atMs),
    date: (atMs) => date.format(atMs),
    time: (atMs) => time.format(atMs),
    clock: (atMs) => clock.format(atMs),
    bucket: (atMs, width) => (width === 'hour' ? time : dayMonth).format(atMs),
  };
}

function durations(number: NewNumberFormat): Pick<Formats, 'duration'> {
  const unit = (name: string, maximumFractionDigits: number) =>
    number({ style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits });
  const milliseconds = unit('millisecond', 0);
  const seconds = unit('second', 1);
  const minutes = unit('minute', 0);
  const hours = unit('hour', 0);
  return {
    duration: (ms) => {
      if (ms < 1_000) return milliseconds.format(ms);
      if (ms < 90_000) return seconds.format(ms / 1_000);
      if (ms < 5_400_000) return minutes.format(ms / 60_000);
      return hours.format(ms / 3_600_000);
    },
  };
}
