/** The public status page, in French. */
import type { Messages } from '../en/index.ts';

export const statusFr: Messages['status'] = {
  title: 'État du service',
  overall: {
    operational: 'Tous les systèmes fonctionnent',
    degraded: 'Certains contrôles récents ont échoué',
    down: 'Certains systèmes sont en panne',
    unknown: 'Aucun contrôle récent',
  },
  lead: 'Chaque minute, nous contrôlons les bases de données et demandons à chaque modèle une vraie réponse, comme le ferait un client.',
  lastAt: (at) => `Dernier contrôle : ${at} UTC.`,
  never: 'Aucun contrôle pour le moment.',
  part: 'Composant',
  api: 'API, comptes et facturation',
  state: 'État',
  states: { operational: 'opérationnel', degraded: 'dégradé', down: 'en panne', unknown: 'inconnu' },
  faults: {
    store: 'une base de données n’a pas répondu',
    no_node: 'aucun nœud ne le sert',
    no_answer: 'un nœud n’a pas répondu',
  },
  latency: 'Médiane, dernière heure',
  lastDay: '24 heures',
  lastDays: '90 jours',
  historyTitle: '90 derniers jours',
  history: (part, share) => `${part} : ${share} des contrôles réussis en 90 jours`,
  day: (day, share) => `${day} : ${share}`,
  noData: 'aucun contrôle',
  asJson: 'Voir en JSON',
};
