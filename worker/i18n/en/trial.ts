/** Trial credit: what is missing for it, and what the operator sees of it. */
export const trialEn = {
  unconfirmed: (amount: string, email: string) =>
    `Confirm your e-mail address to get your ${amount} of free credit: open the link in the e-mail that we sent to ${email}. Until then you can look around and create keys, but requests need credit.`,
  sendAgain: 'Send the e-mail again',
  waiting: (amount: string) =>
    `Today’s free credit has all been given out. You get your ${amount} on a later day: open this page again after midnight UTC.`,
  usedUp:
    'Today’s free credit has all been given out. You can sign up now and get yours on your first visit after midnight UTC.',
  today: (given: string, total: string, accounts: string) =>
    `Trial credit given today (UTC): ${given} of ${total}, to ${accounts}.`,
  accounts: (count: number, text: string) => (count === 1 ? `${text} account` : `${text} accounts`),
};
