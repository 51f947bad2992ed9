/** /privacy and /terms in English. A draft: an operator adapts it and has it checked by a lawyer (docs/deploy.md). */
import { END_NOTICE_DAYS, USED_WITHIN_DAYS } from '../../domain/model-end.ts';
import type { LegalTexts } from './texts.ts';

export const legalEn: LegalTexts = {
  privacy: {
    title: 'Privacy',
    lead: 'What this service knows about you, why, for how long, and how you have it corrected or deleted.',
    sections: ({ address, contactEmail }) => [
      {
        title: 'Who is responsible',
        paragraphs: [
          `${address} runs this service and is responsible for the data described here.`,
          contactEmail
            ? `Write to ${contactEmail} with any question about your data.`
            : 'Write to this address with any question about your data.',
        ],
      },
      {
        title: 'Prompts and answers',
        paragraphs: [
          'Prompts and answers are never logged, never used for training, and not stored in a form that this service could read. They pass through memory on the way to a model and back.',
          'What is stored is for you alone: the files of your batches; answers to requests with an Idempotency-Key, which are encrypted so that only a request with the same key can open them; and responses of the Responses API, as OpenAI’s API stores them, unless the request says `store: false`. Those are encrypted under a key made of their id, which only you have; you can delete each at any time.',
        ],
      },
      {
        title: 'What is stored',
        paragraphs: [
          'About a person: name, e-mail address, a hash of the password or the id at GitHub, language, and for each session its time, IP address and browser.',
          'About an account: its name and members, invited addresses, names and limits of API keys, webhook addresses, alert settings, billing details, payments and invoices.',
          'About each request: when it was made, with which key, for which model, how many tokens it had, what it cost, and how it ended. No content.',
          'About what was changed: who did what, and when, in the account’s audit log.',
        ],
      },
      {
        title: 'Why',
        paragraphs: [
          'To provide the service that you have signed up for, and to bill it exactly.',
          'To keep accounts as tax and commercial law require: ledger, payments and invoices.',
          'To keep the service secure and free of abuse: sessions, limits on attempts, the audit log.',
          'Free credit is given once per inbox. For that, a keyed hash of the e-mail address is kept, even after the account is closed; the address cannot be read from it.',
        ],
      },
      {
        title: 'Who else gets data',
        paragraphs: [
          'Cloudflare hosts the service, its databases and its e-mails. The models run on machines that the operator controls.',
          'Payments are made at the payment provider, which gets what you enter there; card numbers never reach this service.',
          'GitHub learns of a sign-in with GitHub. Your own webhooks and the addresses that you name get notices about your account.',
        ],
      },
      {
        title: 'Cookies',
        paragraphs: [
          'Cookies keep you signed in, recognise a browser that you have signed in from, and remember your language and account. There is no analytics, no advertising and no tracking, so there is nothing to agree to.',
        ],
      },
      {
        title: 'Your rights',
        paragraphs: [
          'You may see, correct, export and delete your data. In the settings you change your name and download all data of an account; an owner can close the account there.',
          'Closing an account deletes at once: its name and those of its keys, invited addresses, webhook addresses and their secrets, notices, billing details, files, stored responses, and the details of its audit log. Members who belong to no other account are deleted, too. The table below says what stays.',
          'You may object to processing, and complain to the data protection authority where you live.',
        ],
      },
    ],
  },
  terms: {
    title: 'Terms',
    lead: 'The agreement between you and the operator of this service.',
    sections: ({ name, contactEmail }) => [
      {
        title: 'The service',
        paragraphs: [
          `${name} sells access to open-weight language models over an API, and a portal to manage it.`,
          'Models are named by their weights. A name never stands for other weights than it says.',
          `The end of a model is announced by e-mail at least ${END_NOTICE_DAYS} days before to everyone who used it in the last ${USED_WITHIN_DAYS} days. After that, requests for it are refused; no other model answers in its place.`,
          'The status page shows how the service has been doing. No particular availability is promised.',
        ],
      },
      {
        title: 'Your account',
        paragraphs: [
          'Give correct details and keep them so. You answer for what is done with your password, your API keys and by the members you invite; revoke a key at once if others may know it.',
          'Whoever signs up for a company confirms that they may bind it.',
        ],
      },
      {
        title: 'Prices and credit',
        paragraphs: [
          'Requests are paid from credit that is bought in advance, at the price in force when the request is admitted. Every charge is tokens × price and is shown to the nano-dollar.',
          'What was delivered is billed; after a disconnection, what was generated until then. A request that fails before any of its answer has arrived costs nothing.',
          'Free credit is not paid out, and is spent first. Unused paid credit is refunded on request before the account is closed.',
          'A payment that is reversed takes its credit back.',
        ],
      },
      {
        title: 'Fair use',
        paragraphs: [
          'Do not use the service to break the law, to harm people, or to send unsolicited messages. Do not work around limits, open accounts to collect free credit, or attack the service or its other customers.',
          'An account that does so may be suspended at once; paid credit that was not spent is then refunded, as far as it does not cover damage.',
        ],
      },
      {
        title: 'Your content',
        paragraphs: [
          'Your prompts and the answers are yours. The service stores neither, except as the privacy page says.',
          'Models make mistakes. Check answers before you rely on them.',
        ],
      },
      {
        title: 'Liability',
        paragraphs: [
          'The operator is liable without limit for intent and gross negligence, and for injury to life, body or health. Otherwise liability is limited to what you have paid in the twelve months before the damage.',
        ],
      },
      {
        title: 'End and changes',
        paragraphs: [
          'You may close your account at any time in the settings. The operator may end the agreement with 30 days’ notice.',
          'Changes of these terms are announced by e-mail 30 days before they take effect. If you do not agree, close your account before then.',
          ...(contactEmail ? [`Questions: ${contactEmail}`] : []),
        ],
      },
    ],
  },
  retention: {
    title: 'How long data is kept',
    lead: 'Data is deleted within minutes of the end of its time. The times come from the program itself.',
    what: 'Data',
    term: 'Kept for',
    why: 'Why',
    days: (days) => {
      if (days < 365) return days === 1 ? '1 day' : `${days} days`;
      const years = Math.floor(days / 365);
      return years === 1 ? '1 year' : `${years} years`;
    },
    kinds: {
      wallet_entry: {
        what: 'Entries of the ledger in the account’s own store, from their posting; then only their sums',
        why: 'The database holds them after that. Until then one copy can repair the other.',
      },
      request_in_database: {
        what: 'Single requests in the database, from the end of their month; then they are in the archive',
        why: 'Bills of a quarter can be examined line by line.',
      },
      idempotent_answer: {
        what: 'Encrypted answers to requests with an Idempotency-Key, from the answer',
        why: 'A program that lost the answer can fetch it again.',
      },
      stored_response: {
        what: 'Encrypted responses of the Responses API with their input, unless the request says store: false, from the answer',
        why: 'The next request of a conversation can name the last response instead of repeating it.',
      },
      invitation: {
        what: 'Invitations and the invited address, from their expiry',
        why: 'Questions about them can be answered.',
      },
      sign_in: {
        what: 'Sessions, and links and codes from e-mails, from their expiry',
        why: 'They open nothing any more.',
      },
      notice: {
        what: 'Notices, where they were sent, and removed webhooks, from the notice or removal; of a model’s end, from that end',
        why: 'You can see whether an alert arrived.',
      },
      payment_event: {
        what: 'Ids of the payment provider’s messages, from their receipt',
        why: 'A message that is sent twice must count once.',
      },
      unpaid_order: {
        what: 'Top-ups that were begun and not paid, from their beginning',
        why: 'A payment may still arrive.',
      },
      audit_detail: {
        what: 'Details in the audit log, from the action; who did what and when stays, by ids',
        why: 'Mistakes and misuse can be looked into.',
      },
      trial_grant: {
        what: 'Keyed hash of an address that had free credit, from the grant',
        why: 'Free credit is given once.',
      },
      join_token: {
        what: 'Tokens with which the operator adds machines, from their expiry',
        why: 'They concern no customer.',
      },
      probe: {
        what: 'Single probes of the status page, from the probe; totals by day stay',
        why: 'They concern no customer.',
      },
      file: {
        what: 'Files of batches, from their upload, unless you ask for less or delete them',
        why: 'You can download results.',
      },
      invoice_buyer: {
        what: 'Name and address on issued invoices, from the issue',
        why: 'Tax and commercial law require it.',
      },
    },
    others: [
      {
        what: 'Name, e-mail address and settings of a person; names and settings of an account',
        term: 'Until the account is closed',
        why: 'The service needs them.',
      },
      {
        what: 'Ledger, hourly usage, payments and invoices without the buyer, by ids only',
        term: 'As long as the service runs',
        why: 'They prove every bill.',
      },
    ],
  },
  accept: [
    'By creating an account you accept the ',
    'terms',
    '. How your data is handled is on the page ',
    'Privacy',
    '.',
  ],
};
