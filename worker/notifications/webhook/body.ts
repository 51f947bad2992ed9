/**
 * The body of a webhook: `{type, timestamp, data}`. Field names are snake_case. Each amount appears twice, as an
 * integer of nano-USD and as exact decimal US dollars, so that no receiver needs arithmetic to show or compare it.
 */
import { formatUsd, type NanoUsd } from '../../domain/money.ts';
import type { Notification } from '../../domain/notice.ts';

export function webhookBody({ id, accountId, atMs, notice }: Notification): string {
  const { kind, ...facts } = notice;
  const data = Object.entries(facts).flatMap(([name, value]) => fields(name, value));
  return JSON.stringify({
    type: kind,
    timestamp: new Date(atMs).toISOString(),
    data: { account_id: accountId, notice_id: id, ...Object.fromEntries(data) },
  });
}

function fields(name: string, value: string | number | null): [string, string | number | null][] {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  if (!name.endsWith('NanoUsd') || value === null) return [[snake, value]];
  return [
    [snake, value],
    [snake.replace(/_nano_usd$/, '_usd'), formatUsd(value as NanoUsd)],
  ];
}
