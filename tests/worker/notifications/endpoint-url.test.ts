/** Which URLs a webhook endpoint may have: public https only. */
import { describe, expect, it } from 'vitest';
import {
  checkEndpointUrl,
  type EndpointUrlFault,
} from '../../../worker/notifications/webhook/endpoint-url.ts';

const production = { development: false };

describe('the URL of a webhook endpoint', () => {
  it.each([
    ['https://example.com/hooks?tenant=7', 'https://example.com/hooks?tenant=7'],
    ['https://Example.com:443', 'https://example.com/'],
    ['https://example.com:8443/a#part', 'https://example.com:8443/a'],
    ['https://8.8.8.8/x', 'https://8.8.8.8/x'],
    ['https://[2606:4700::1111]/', 'https://[2606:4700::1111]/'],
  ])('%s is accepted as %s', (text, url) => {
    expect(checkEndpointUrl(text, production)).toEqual({ ok: true, url });
  });

  it.each<[string, EndpointUrlFault]>([
    ['example.com', 'endpoint_url'],
    [`https://example.com/${'a'.repeat(500)}`, 'endpoint_url'],
    ['http://example.com', 'endpoint_not_https'],
    ['http://127.0.0.1:9000/', 'endpoint_not_https'],
    ['javascript:alert(1)', 'endpoint_not_https'],
    ['https://user:pass@example.com', 'endpoint_credentials'],
    ['https://user@example.com', 'endpoint_credentials'],
    ['https://example.com:22', 'endpoint_port'],
    ['https://example.com:6379', 'endpoint_port'],
    ['https://localhost', 'endpoint_private'],
    ['https://db.internal', 'endpoint_private'],
    ['https://metadata.google.internal', 'endpoint_private'],
    ['https://intranet', 'endpoint_private'],
    ['https://printer.local', 'endpoint_private'],
    ['https://example.com.', 'endpoint_private'],
    ['https://127.0.0.1', 'endpoint_private'],
    ['https://2130706433', 'endpoint_private'],
    ['https://0x7f.1', 'endpoint_private'],
    ['https://10.0.0.8', 'endpoint_private'],
    ['https://169.254.169.254/latest/meta-data', 'endpoint_private'],
    ['https://192.168.1.1', 'endpoint_private'],
    ['https://[::1]', 'endpoint_private'],
    ['https://[fe80::1]', 'endpoint_private'],
    ['https://[fd00:ec2::254]', 'endpoint_private'],
    ['https://[::ffff:169.254.169.254]', 'endpoint_private'],
  ])('%s is rejected: %s', (text, fault) => {
    expect(checkEndpointUrl(text, production)).toEqual({ ok: false, fault });
  });

  it('may be plain http on loopback in development only', () => {
    const text = 'http://127.0.0.1:9000/hook';
    expect(checkEndpointUrl(text, { development: true })).toEqual({ ok: true, url: text });
    expect(checkEndpointUrl(text, production).ok).toBe(false);
    expect(checkEndpointUrl('http://10.0.0.8/hook', { development: true }).ok).toBe(false);
  });
});
