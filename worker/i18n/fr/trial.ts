/** Trial credit, in French. */
import type { Messages } from '../en/index.ts';

export const trialFr: Messages['trial'] = {
  unconfirmed: (amount, email) =>
    `Confirmez votre adresse e-mail pour recevoir votre crédit offert de ${amount} : ouvrez le lien de l’e-mail envoyé à ${email}. D’ici là, vous pouvez parcourir le portail et créer des clés, mais les requêtes exigent du crédit.`,
  sendAgain: 'Renvoyer l’e-mail',
  waiting: (amount) =>
    `Le crédit offert du jour est épuisé. Vos ${amount} vous seront accordés un autre jour : rouvrez cette page après minuit UTC.`,
  usedUp:
    'Le crédit offert du jour est épuisé. Vous pouvez vous inscrire dès maintenant : vous recevrez le vôtre à votre première visite après minuit UTC.',
  today: (given, total, accounts) =>
    `Crédit d’essai accordé aujourd’hui (UTC) : ${given} sur ${total}, à ${accounts}.`,
  accounts: (count, text) => (count < 2 ? `${text} compte` : `${text} comptes`),
};
