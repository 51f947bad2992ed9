/** E-mails to a person, in French. */
import type { Messages } from '../en/index.ts';

export const emailsFr: Messages['emails'] = {
  verify: {
    title: 'Confirmez votre adresse e-mail',
    text: 'Ouvrez le lien pour confirmer que cette adresse est la vôtre. Il est valable 24 heures.',
    link: 'Confirmer l’adresse',
    small:
      'Vous recevez cet e-mail parce que cette adresse a été utilisée sur Tollgate. Si ce n’était pas vous, ignorez-le.',
  },
  signIn: {
    title: 'Votre lien de connexion',
    text: 'Ouvrez le lien dans le navigateur où vous souhaitez vous connecter. Il ne sert qu’une fois et expire après 10 minutes.',
    unverified:
      'Cette adresse n’est pas encore confirmée. Le lien la confirme et supprime tout mot de passe choisi auparavant ; vous pouvez en choisir un nouveau dans les Réglages.',
    link: 'Se connecter',
    small:
      'Si vous n’avez pas demandé ce lien, ignorez cet e-mail. Sans le lien, personne ne peut se connecter.',
  },
  reset: {
    title: 'Choisissez un nouveau mot de passe',
    text: 'Ouvrez le lien pour choisir un nouveau mot de passe. Il ne sert qu’une fois, expire après une heure et met fin à toutes vos sessions.',
    link: 'Choisir un mot de passe',
    small:
      'Si vous n’êtes pas à l’origine de cette demande, ignorez cet e-mail. Votre mot de passe reste le même.',
  },
  invitation: {
    title: 'Invitation à rejoindre une équipe',
    text: (account, role) =>
      `Vous êtes invité à rejoindre ${account === '' ? 'un compte' : `le compte « ${account} »`} sur Tollgate, avec le rôle « ${role} ». Ouvrez l’invitation pour voir qui l’a envoyée ; elle est valable sept jours.`,
    link: 'Voir l’invitation',
    small:
      'Si vous ne connaissez pas l’expéditeur, ignorez cet e-mail. Vous ne serez pas ajouté sans votre accord.',
  },
  signInChanged: {
    title: 'Vos réglages de connexion ont changé',
    what: {
      password: 'Votre mot de passe a été modifié et vos autres sessions ont été fermées.',
      second_factor_on: 'L’authentification à deux facteurs est désormais activée.',
      second_factor_off: 'L’authentification à deux facteurs est désormais désactivée.',
      backup_codes: 'De nouveaux codes de secours ont été créés. Les anciens ne fonctionnent plus.',
      second_factor_reset:
        'L’exploitant a désactivé l’authentification à deux facteurs parce que sa perte a été signalée, et a mis fin à toutes vos sessions. Connectez-vous avec votre mot de passe et configurez-la de nouveau.',
    },
    link: 'Vérifier vos sessions',
    small:
      'Si ce n’était pas vous, choisissez immédiatement un nouveau mot de passe et fermez toutes les sessions.',
  },
  receipt: {
    title: (amount) => `Reçu : ${amount}`,
    text: (amount, invoice) =>
      `Votre recharge de ${amount} a été créditée. La facture ${invoice} est disponible en PDF.`,
    link: 'Ouvrir la facture',
    small: 'Vous recevez les reçus en tant que propriétaire ou membre « facturation » de ce compte.',
  },
};
