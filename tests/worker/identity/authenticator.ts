/** An authenticator app: reads the secret off the page that shows it, and makes the codes of the moment. */
import { createOTP } from '@better-auth/utils/otp';

/** @param page the text of the page that sets up a second factor. @returns makes a code */
export function authenticator(page: string): () => Promise<string> {
  const secret = page.match(/data-secret[^>]*>([A-Z2-7=]+)</)![1]!;
  return () => createOTP(decode(secret), { digits: 6, period: 30 }).totp();
}

/** Base32 (RFC 4648). */
function decode(text: string): string {
  const bits = [...text.replaceAll('=', '')]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  return String.fromCharCode(...bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
}
