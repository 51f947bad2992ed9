/** Aliases of models, in English. */

export const aliasesEn = {
  title: 'Model aliases',
  lead: 'Your own names for models. Agents ask for models of their makers, such as claude-haiku-4-5 in the background: an alias says which model answers them here.',
  note: 'An alias works with every key and token of the account, in every API and in batches. Answers, bills and keys that may use only certain models go by the model itself. Changes take effect everywhere within ten seconds.',
  empty: 'No aliases yet. A name that is neither a model nor an alias is answered with 404.',
  done: {
    set: 'Alias saved. It takes effect everywhere within ten seconds.',
    removed: 'Alias removed. Within ten seconds its name is unknown everywhere.',
  },
  newTitle: 'Set an alias',
  name: 'Name',
  nameHint:
    'As the client sends it, for example claude-haiku-4-5-20251001. A name that exists gets the new model.',
  model: 'Model',
  effort: 'Reasoning effort',
  effortHint: 'For requests that say nothing of reasoning themselves.',
  asAsked: 'as each request asks',
  since: 'Since',
  ended: 'no longer for sale',
  submit: 'Save alias',
  remove: 'Remove',
  link: 'Model aliases: names of your own, for agents that ask for other models',
};
