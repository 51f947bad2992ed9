/** L'état du service, en français. */
import type { Messages } from '../en/index.ts';

export const statusFr: Messages['status'] = {
  title: 'État du service',
  overall: {
    operational: 'Tout fonctionne',
    degraded: 'Quelque chose a échoué ces dernières minutes',
    down: 'Quelque chose ne fonctionne pas en ce moment',
    unknown: 'Personne n’a regardé récemment',
  },
  lead: 'Chaque minute, on demande au service ce que les clients lui demandent : ses bases, et de chaque modèle une vraie réponse.',
  lastAt: (at) => `Dernière sonde : ${at} UTC.`,
  never: 'Aucune sonde n’a encore été lancée.',
  part: 'Partie',
  api: 'API, comptes et facturation',
  state: 'Maintenant',
  states: { operational: 'fonctionne', degraded: 'instable', down: 'en panne', unknown: 'inconnu' },
  faults: {
    store: 'une base n’a pas répondu',
    no_node: 'aucun nœud ne le sert',
    no_answer: 'un nœud n’a pas répondu',
  },
  latency: 'Médiane, dernière heure',
  lastDay: '24 heures',
  lastDays: '90 jours',
  historyTitle: 'Les 90 derniers jours',
  history: (part, share) => `${part} : ${share} des sondes ont eu une réponse en 90 jours`,
  day: (day, share) => `${day} : ${share}`,
  noData: 'pas de sonde',
  asJson: 'La même chose en JSON',
};
