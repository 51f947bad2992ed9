/** One exchange: question, reasoning, answer, tokens and cost. All is inserted as text, so no output becomes markup. */
import type { Formats } from '../../../i18n/formats.ts';
import type { Phrases } from './data.ts';
import type { Exchange } from './exchange.ts';
import { adviceFor, type Fault } from './fault.ts';
import { fill } from './fill.ts';

export function ExchangeView(props: { phrases: Phrases; f: Formats; exchange: Exchange; open: boolean }) {
  const { phrases, f, exchange, open } = props;
  const { question, reasoning, answer, state, fault, isCut } = exchange;
  const running = state === 'running';
  return (
    <article class="mb-8 last:mb-0">
      <p class="mb-3 rounded-box bg-base-300 px-4 py-3 wrap-anywhere whitespace-pre-wrap">
        <span class="muted block text-xs font-medium">{phrases.you}</span>
        {question}
      </p>
      {running && reasoning === '' && answer === '' && <p class="muted">{phrases.waiting}</p>}
      {reasoning !== '' && (
        <details open={open} class="mb-3 border-s-2 border-base-300 ps-4">
          <summary class="muted cursor-pointer text-sm">
            {running && answer === '' ? phrases.reasoningNow : phrases.reasoning}
          </summary>
          <p class="muted mt-2 text-sm wrap-anywhere whitespace-pre-wrap" data-part="reasoning">
            {reasoning}
          </p>
        </details>
      )}
      {answer !== '' && (
        <p class="wrap-anywhere whitespace-pre-wrap" data-part="answer">
          {answer}
        </p>
      )}
      {state === 'stopped' && <Stopped phrases={phrases} f={f} exchange={exchange} />}
      {isCut && <p class="mt-3 text-sm font-medium">{phrases.cut}</p>}
      {fault && <FaultCallout phrases={phrases} fault={fault} />}
      {!running && exchange.requestId !== null && <Figures phrases={phrases} f={f} exchange={exchange} />}
    </article>
  );
}

function Stopped({ phrases, f, exchange }: { phrases: Phrases; f: Formats; exchange: Exchange }) {
  const { requestId, bill } = exchange;
  return (
    <p class="mt-3 text-sm font-medium" data-part="stopped">
      {requestId === null ? (
        <>
          {phrases.stoppedEarly}{' '}
          <a class="link" href="/requests">
            {phrases.requests}
          </a>
        </>
      ) : bill === null ? (
        phrases.stoppedSettling
      ) : (
        fill(phrases.stopped, { cost: f.usdExact(bill.chargeNanoUsd).join('') })
      )}
    </p>
  );
}

function FaultCallout({ phrases, fault }: { phrases: Phrases; fault: Fault }) {
  const { text, href } = adviceFor(fault, phrases);
  return (
    <div role="alert" class="alert alert-soft alert-error mt-3 text-sm">
      {/* an error may name a long path, which has no blanks */}
      <div class="min-w-0 wrap-anywhere">
        {fault.message}{' '}
        {href ? (
          <a class="link" href={href}>
            {text}
          </a>
        ) : (
          text
        )}
      </div>
    </div>
  );
}

/** Time to first token, tokens by kind and cost. Those of a stopped answer are known once it is settled. */
function Figures({ phrases, f, exchange }: { phrases: Phrases; f: Formats; exchange: Exchange }) {
  const { ttftMs, bill, isSettled, requestId } = exchange;
  const figures: [label: string, value: string][] = [];
  if (ttftMs !== null) figures.push([phrases.ttft, f.duration(ttftMs)]);
  if (bill) {
    const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = bill;
    figures.push(
      [phrases.input, f.count(promptTokens)],
      [phrases.cached, f.count(cachedTokens)],
      [phrases.reasoningTokens, f.count(reasoningTokens)],
      [phrases.answerTokens, f.count(completionTokens - reasoningTokens)],
    );
  }
  return (
    <div class="mt-3 flex flex-wrap items-baseline gap-x-5 gap-y-1 text-xs">
      <dl class="contents">
        {figures.map(([label, value]) => (
          <div class="flex gap-1.5">
            <dt class="muted">{label}</dt>
            <dd class="font-medium tabular-nums">{value}</dd>
          </div>
        ))}
        <div class="flex gap-1.5">
          <dt class="muted">{phrases.cost}</dt>
          <dd class="font-medium tabular-nums" data-settled={isSettled ? 'true' : 'false'}>
            {bill ? f.usdExact(bill.chargeNanoUsd).join('') : isSettled ? '–' : phrases.settling}
          </dd>
        </div>
      </dl>
      <a class="link" href={`/requests/${requestId}`}>
        {phrases.request}
      </a>
    </div>
  );
}
