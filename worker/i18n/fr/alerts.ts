/** Limits and alerts: gauges, thresholds, webhooks and their log, in French. */
import type { alertsEn } from '../en/alerts.ts';

export const alertsFr: typeof alertsEn = {
  title: 'Limites et alertes',
  lead: 'L’utilisation des limites du compte et de ses clés, et les personnes prévenues avant qu’elles ne soient atteintes.',
  done: {
    cap: 'Plafond enregistré. Il s’applique partout en moins de cinq secondes.',
    watch: 'Alertes enregistrées.',
    removed: 'Endpoint retiré. Plus rien ne lui est envoyé.',
    test: 'Une alerte de test est en cours d’envoi. Actualisez la page dans un instant pour voir le résultat dans le journal des envois.',
    again: 'L’alerte est renvoyée.',
  },
  loadTitle: 'En ce moment',
  loadNote: (at) =>
    `État à ${at} UTC. Les requêtes et les jetons portent sur les 60 dernières secondes ; un plafond compte les dépenses et ce qui est réservé pour les requêtes en cours.`,
  whose: 'Compte ou clé',
  account: 'Compte entier',
  requests: 'Requêtes par minute',
  tokens: 'Jetons par minute',
  inFlight: 'Simultanées',
  cap: 'Plafond',
  used: (used, limit, share) => `${used} sur ${limit} (${share})`,
  unlimited: (used) => `${used}, sans limite`,
  reached: 'atteint',
  resets: (at) => `remis à zéro le ${at} UTC`,
  resetsNever: 'jamais remis à zéro',
  unknown: 'indisponible pour le moment',
  shownOf: (shown) => `Affichage des ${shown} clés actives les plus récentes.`,
  capTitle: 'Plafond du compte',
  capNote:
    'Toutes les clés ensemble ne dépensent pas plus que ce montant par période, quel que soit leur propre plafond.',
  capSubmit: 'Enregistrer le plafond',
  watchTitle: 'Alertes',
  lowBalance: 'Me prévenir quand le solde passe sous (USD)',
  lowBalanceHint: 'Vide : jamais',
  percents: 'Me prévenir à tant de % d’un plafond',
  byEmail:
    'Par e-mail à tous les propriétaires et membres « facturation » du compte dont l’adresse est confirmée',
  byEmailUnconfirmed:
    'Votre adresse n’est pas encore confirmée : vous ne recevez donc aucune alerte par e-mail.',
  byEmailConfirm: 'Confirmez-la dans les réglages',
  watchSubmit: 'Enregistrer les alertes',
  endpointsTitle: 'Webhooks',
  endpointsNote:
    'Chaque alerte est envoyée à chaque endpoint par une requête POST en JSON, signée selon Standard Webhooks, avec de nouvelles tentatives pendant trois jours au plus.',
  endpointsEmpty: 'Aucun endpoint pour le moment.',
  endpointsFull: (max) =>
    `Un compte peut avoir au plus ${max} endpoints. Retirez-en un pour en ajouter un autre.`,
  added: (at) => `Ajouté le ${at}`,
  url: 'URL de l’endpoint',
  urlHint: 'https, port 443 ou 8443. L’endpoint doit répondre 2xx en moins de 15 secondes.',
  add: 'Ajouter l’endpoint',
  test: 'Envoyer un test',
  rotate: 'Nouveau secret',
  rotateNote:
    'Pendant 24 heures, les webhooks sont signés avec le nouveau secret et avec le précédent : vous pouvez passer de l’un à l’autre sans en manquer. Ensuite, seul le nouveau signe.',
  rotateSubmit: 'Créer un nouveau secret',
  remove: 'Retirer',
  removeNote: 'Plus rien ne lui sera envoyé. S’il est ajouté de nouveau, il aura un autre secret.',
  removeSubmit: 'Retirer l’endpoint',
  secretTitle: (url) => `Secret de signature de ${url}`,
  secretNote: 'Il n’est affiché qu’une seule fois. Utilisez-le pour vérifier chaque webhook.',
  logTitle: 'Journal des envois',
  logNote:
    'Les 25 derniers envois. Chaque webhook affiche son webhook-id, qui reste le même à chaque tentative.',
  logEmpty: 'Aucun envoi pour le moment.',
  time: 'Heure (UTC)',
  notice: 'Alerte',
  to: 'À',
  state: 'État',
  states: { waiting: 'en cours', delivered: 'livrée', failed: 'échouée' },
  attempts: 'Tentatives',
  last: 'Dernière réponse',
  next: 'Prochaine tentative (UTC)',
  actions: 'Actions',
  again: 'Renvoyer',
  faults: {
    timeout: 'délai dépassé',
    unreachable: 'injoignable',
    redirect: 'les redirections ne sont pas suivies',
    status: 'réponse d’erreur',
    gone: '410 Gone : endpoint retiré',
    endpoint_removed: 'endpoint retiré',
    account_suspended: 'compte suspendu',
    address_refused: 'adresse non autorisée',
    mail_not_configured: 'e-mail non configuré',
    mail_sender_refused: 'expéditeur refusé par le service d’e-mail',
    mail_recipient_refused: 'destinataire refusé par le service d’e-mail',
    mail_refused: 'message refusé par le service d’e-mail',
    mail_unavailable: 'service d’e-mail indisponible',
    mail_not_for_address: 'n’est plus l’adresse confirmée d’un membre qui reçoit cette alerte',
    mail_limited: 'trop d’alertes pendant cette heure',
    given_up: 'abandonnée après la dernière tentative',
  },
  notices: {
    lowBalance: 'Solde faible',
    lowBalanceText: (balance, below) => `Le solde est de ${balance}, en dessous de ${below}.`,
    capUsed: (percent) => `Plafond utilisé à ${percent}`,
    capUsedText: (spent, cap, period, whose) =>
      `${whose} : ${spent} dépensés sur un plafond de ${cap} (${period}).`,
    keyNamed: (name) => `Clé ${name}`,
    rechargePaid: 'Recharge automatique réussie',
    rechargePaidText: (amount) =>
      `${amount} ont été débités de la carte enregistrée et crédités sur votre solde.`,
    rechargeDeclined: 'Recharge automatique refusée',
    rechargeDeclinedText: (amount) =>
      `Le débit de ${amount} sur la carte enregistrée a échoué, et la recharge automatique est désormais désactivée.`,
    rechargeMax: 'Maximum de recharge atteint',
    rechargeMaxText: (recharged, max) =>
      `${recharged} ont été rechargés ce mois-ci. Une recharge de plus dépasserait le maximum mensuel de ${max} : la recharge automatique reprendra le mois prochain.`,
    modelEnding: (model, date) => `${model} s’arrête le ${date}`,
    modelEndingText: (model, date) =>
      `${model} reste en vente jusqu’au ${date} UTC. Ensuite, les requêtes qui le demandent recevront une erreur : aucun autre modèle ne répondra à sa place.`,
    modelEnded: (model) => `${model} n’est plus en vente`,
    modelEndedText: (model, date) =>
      `La vente de ${model} a pris fin le ${date} UTC. Les requêtes qui le demandent reçoivent désormais une erreur : aucun autre modèle ne répond à sa place.`,
    modelWeek: (charge) => `Votre compte y a consacré ${charge} ces sept derniers jours.`,
    modelSuccessor: (successor) => `Nous recommandons ${successor} à sa place.`,
    modelSuccessorWeek: (successor, cost) =>
      `Nous recommandons ${successor} à sa place : les mêmes jetons coûteraient ${cost} à ses tarifs standard.`,
    modelStays: (model) => `${model} reste en vente`,
    modelStaysText: (model, date) =>
      `La fin de ${model}, annoncée pour le ${date}, est annulée. Vous n’avez rien à changer.`,
    test: 'Test',
    testText: 'Un membre de votre compte a envoyé cette alerte de test.',
  },
  emailLink: 'Voir sur le portail',
  emailReason:
    'Vous recevez cet e-mail en tant que propriétaire ou membre « facturation » d’un compte Tollgate. Gérez les alertes sur',
  emailReasonModel:
    'Vous recevez cet e-mail en tant que propriétaire, membre « facturation » ou développeur d’un compte Tollgate qui a utilisé ce modèle ces 30 derniers jours. Gérez les alertes sur',
};
