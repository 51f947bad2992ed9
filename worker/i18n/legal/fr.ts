/** /privacy et /terms en français. A draft, as in English: an operator adapts it and has it checked by a lawyer (docs/deploy.md). */
import { END_NOTICE_DAYS, USED_WITHIN_DAYS } from '../../domain/model-end.ts';
import type { LegalTexts } from './texts.ts';

export const legalFr: LegalTexts = {
  privacy: {
    title: 'Confidentialité',
    lead: 'Ce que ce service sait de vous, pourquoi, pendant combien de temps, et comment le faire corriger ou supprimer.',
    sections: ({ address, contactEmail }) => [
      {
        title: 'Responsable du traitement',
        paragraphs: [
          `${address} exploite ce service et répond des données décrites ici.`,
          contactEmail
            ? `Pour toute question sur vos données, écrivez à ${contactEmail}.`
            : 'Pour toute question sur vos données, écrivez à cette adresse.',
        ],
      },
      {
        title: 'Prompts et réponses',
        paragraphs: [
          'Les prompts et les réponses ne sont jamais journalisés, ne servent jamais à l’entraînement, et ne sont pas enregistrés sous une forme que ce service pourrait lire. Ils ne font que passer en mémoire, vers un modèle et retour.',
          'Ce qui est enregistré l’est pour vous seul : les fichiers de vos lots ; les réponses aux requêtes munies d’une Idempotency-Key, chiffrées de sorte que seule une requête portant la même clé peut les ouvrir ; et les réponses de l’API Responses, comme l’API d’OpenAI les enregistre, sauf si la requête porte `store: false`. Celles-ci sont chiffrées sous une clé tirée de leur identifiant, que vous êtes seul à détenir ; vous pouvez supprimer chacune à tout moment.',
        ],
      },
      {
        title: 'Ce qui est enregistré',
        paragraphs: [
          'Sur une personne : nom, adresse e-mail, empreinte du mot de passe ou identifiant GitHub, langue et, pour chaque session, la date, l’adresse IP et le navigateur.',
          'Sur un compte : son nom et ses membres, les adresses invitées, les noms et limites des clés d’API, les adresses des webhooks, les réglages d’alerte, les coordonnées de facturation, les paiements et les factures.',
          'Sur chaque requête : quand elle a été faite, avec quelle clé, pour quel modèle, combien de jetons, son coût et la façon dont elle s’est terminée. Aucun contenu.',
          'Sur les changements : qui a fait quoi, et quand, dans le journal d’audit du compte.',
        ],
      },
      {
        title: 'Pourquoi',
        paragraphs: [
          'Pour fournir le service auquel vous vous êtes inscrit et le facturer exactement.',
          'Pour tenir les comptes exigés par le droit fiscal et commercial : grand livre, paiements et factures.',
          'Pour protéger le service contre les intrusions et les abus : sessions, limites de tentatives, journal d’audit.',
          'Le crédit offert n’est accordé qu’une fois par boîte de réception. Pour cela, une empreinte à clé de l’adresse e-mail est conservée, même après la fermeture du compte ; l’adresse ne peut pas en être déduite.',
        ],
      },
      {
        title: 'Qui d’autre reçoit des données',
        paragraphs: [
          'Cloudflare héberge le service, ses bases de données et ses e-mails. Les modèles tournent sur des machines contrôlées par l’exploitant.',
          'Les paiements se font chez le prestataire de paiement, qui reçoit ce que vous y saisissez ; les numéros de carte n’arrivent jamais ici.',
          'GitHub a connaissance d’une connexion avec GitHub. Vos propres webhooks et les adresses que vous indiquez reçoivent les notifications de votre compte.',
        ],
      },
      {
        title: 'Cookies',
        paragraphs: [
          'Les cookies maintiennent votre connexion, reconnaissent un navigateur depuis lequel vous vous êtes connecté et retiennent votre langue et votre compte. Il n’y a ni mesure d’audience, ni publicité, ni traçage : vous n’avez donc rien à accepter.',
        ],
      },
      {
        title: 'Vos droits',
        paragraphs: [
          'Vous pouvez consulter, corriger, exporter et supprimer vos données. Dans les réglages, vous changez votre nom et téléchargez toutes les données d’un compte ; un propriétaire peut y fermer le compte.',
          'La fermeture d’un compte supprime aussitôt : son nom et ceux de ses clés, les adresses invitées, les adresses des webhooks et leurs secrets, les notifications, les coordonnées de facturation, les fichiers, les réponses enregistrées et les détails de son journal d’audit. Les membres qui n’appartiennent à aucun autre compte sont supprimés eux aussi. Le tableau ci-dessous indique ce qui reste.',
          'Vous pouvez vous opposer au traitement et saisir l’autorité de protection des données de votre pays.',
        ],
      },
    ],
  },
  terms: {
    title: 'Conditions',
    lead: 'Le contrat entre vous et l’exploitant de ce service.',
    sections: ({ name, contactEmail }) => [
      {
        title: 'Le service',
        paragraphs: [
          `${name} vend l’accès à des modèles de langage à poids ouverts par une API, et un portail pour le gérer.`,
          'Les modèles portent le nom de leurs poids. Un nom ne désigne jamais d’autres poids que ceux qu’il annonce.',
          `La fin d’un modèle est annoncée par e-mail au moins ${END_NOTICE_DAYS} jours à l’avance à tous ceux qui l’ont utilisé au cours des ${USED_WITHIN_DAYS} derniers jours. Ensuite, les requêtes qui le demandent sont refusées ; aucun autre modèle ne répond à sa place.`,
          'La page d’état montre comment le service s’est comporté. Aucune disponibilité particulière n’est promise.',
        ],
      },
      {
        title: 'Votre compte',
        paragraphs: [
          'Donnez des informations exactes et tenez-les à jour. Vous répondez de ce qui est fait avec votre mot de passe, vos clés d’API et par les membres que vous invitez ; révoquez aussitôt une clé que d’autres pourraient connaître.',
          'Quiconque s’inscrit pour une entreprise confirme pouvoir l’engager.',
        ],
      },
      {
        title: 'Prix et crédit',
        paragraphs: [
          'Les requêtes sont payées par un crédit acheté d’avance, au prix en vigueur lorsque la requête est admise. Chaque débit est égal à jetons × prix et affiché au nanodollar près.',
          'Ce qui a été livré est facturé ; après une déconnexion, ce qui a été généré jusque-là. Une requête qui échoue avant qu’une partie de sa réponse soit arrivée ne coûte rien.',
          'Le crédit offert n’est pas remboursable et se dépense en premier. Le crédit payé et non utilisé est remboursé sur demande avant la fermeture du compte.',
          'Un paiement annulé reprend son crédit.',
        ],
      },
      {
        title: 'Usage loyal',
        paragraphs: [
          'N’utilisez pas le service pour enfreindre la loi, nuire à des personnes ou envoyer des messages non sollicités. Ne contournez pas les limites, n’ouvrez pas de comptes pour accumuler du crédit offert, n’attaquez ni le service ni ses autres clients.',
          'Un compte qui le fait peut être suspendu aussitôt ; le crédit payé et non dépensé est alors remboursé, dans la mesure où il ne couvre pas un dommage.',
        ],
      },
      {
        title: 'Vos contenus',
        paragraphs: [
          'Vos prompts et les réponses vous appartiennent. Le service n’enregistre ni les uns ni les autres, sauf ce qu’indique la page Confidentialité.',
          'Les modèles se trompent. Vérifiez les réponses avant de vous y fier.',
        ],
      },
      {
        title: 'Responsabilité',
        paragraphs: [
          'L’exploitant répond sans limite de son dol et de sa faute lourde, ainsi que des atteintes à la vie, au corps et à la santé. Dans les autres cas, sa responsabilité est limitée à ce que vous avez payé au cours des douze mois précédant le dommage.',
        ],
      },
      {
        title: 'Fin et modifications',
        paragraphs: [
          'Vous pouvez fermer votre compte à tout moment dans les réglages. L’exploitant peut mettre fin au contrat avec un préavis de 30 jours.',
          'Les modifications de ces conditions sont annoncées par e-mail 30 jours avant leur entrée en vigueur. Si vous ne les acceptez pas, fermez votre compte avant cette date.',
          ...(contactEmail ? [`Questions : ${contactEmail}`] : []),
        ],
      },
    ],
  },
  retention: {
    title: 'Durées de conservation',
    lead: 'Les données sont supprimées dans les minutes qui suivent la fin de leur durée. Les durées proviennent du programme lui-même.',
    what: 'Données',
    term: 'Durée',
    why: 'Pourquoi',
    days: (days) => {
      if (days < 365) return days === 1 ? '1 jour' : `${days} jours`;
      const years = Math.floor(days / 365);
      return years === 1 ? '1 an' : `${years} ans`;
    },
    kinds: {
      wallet_entry: {
        what: 'Écritures du grand livre dans la mémoire propre du compte, depuis leur passation ; ensuite leurs seules sommes',
        why: 'La base de données les contient ensuite. Jusque-là, une copie peut réparer l’autre.',
      },
      request_in_database: {
        what: 'Requêtes une à une dans la base de données, depuis la fin de leur mois ; ensuite elles sont dans l’archive',
        why: 'Les factures d’un trimestre peuvent être examinées ligne par ligne.',
      },
      idempotent_answer: {
        what: 'Réponses chiffrées aux requêtes munies d’une Idempotency-Key, depuis la réponse',
        why: 'Un programme qui a perdu la réponse peut la redemander.',
      },
      stored_response: {
        what: 'Réponses chiffrées de l’API Responses avec leur entrée, sauf si la requête porte store: false, depuis la réponse',
        why: 'La requête suivante d’une conversation peut nommer la dernière réponse au lieu de la répéter.',
      },
      invitation: {
        what: 'Invitations et adresse invitée, depuis leur expiration',
        why: 'Pour répondre aux questions à leur sujet.',
      },
      sign_in: {
        what: 'Sessions, liens et codes envoyés par e-mail, depuis leur expiration',
        why: 'Ils n’ouvrent plus rien.',
      },
      notice: {
        what: 'Notifications, leurs destinations et webhooks retirés, depuis la notification ou le retrait ; pour la fin d’un modèle, depuis cette fin',
        why: 'Vous pouvez voir si une alerte est arrivée.',
      },
      payment_event: {
        what: 'Identifiants des messages du prestataire de paiement, depuis leur réception',
        why: 'Un message envoyé deux fois ne doit compter qu’une fois.',
      },
      unpaid_order: {
        what: 'Recharges commencées et non payées, depuis leur début',
        why: 'Un paiement peut encore arriver.',
      },
      audit_detail: {
        what: 'Détails du journal d’audit, depuis l’action ; qui a fait quoi et quand reste, par identifiants',
        why: 'Pour examiner erreurs et abus.',
      },
      trial_grant: {
        what: 'Empreinte à clé d’une adresse qui a reçu du crédit offert, depuis ce crédit',
        why: 'Le crédit offert n’est accordé qu’une fois.',
      },
      join_token: {
        what: 'Jetons avec lesquels l’exploitant ajoute des machines, depuis leur expiration',
        why: 'Ils ne concernent aucun client.',
      },
      probe: {
        what: 'Sondes de la page d’état une à une, depuis la sonde ; les totaux par jour restent',
        why: 'Elles ne concernent aucun client.',
      },
      file: {
        what: 'Fichiers des lots, depuis leur envoi, sauf si vous demandez moins ou les supprimez',
        why: 'Vous pouvez télécharger les résultats.',
      },
      invoice_buyer: {
        what: 'Nom et adresse sur les factures émises, depuis l’émission',
        why: 'Le droit fiscal et commercial l’exige.',
      },
    },
    others: [
      {
        what: 'Nom, adresse e-mail et réglages d’une personne ; noms et réglages d’un compte',
        term: 'Jusqu’à la fermeture du compte',
        why: 'Le service en a besoin.',
      },
      {
        what: 'Grand livre, consommation par heure, paiements et factures sans l’acheteur, par identifiants seulement',
        term: 'Aussi longtemps que le service existe',
        why: 'Ils prouvent chaque facture.',
      },
    ],
  },
  accept: [
    'En créant un compte, vous acceptez les ',
    'conditions',
    '. Le traitement de vos données est décrit à la page ',
    'Confidentialité',
    '.',
  ],
};
