// SPDX-License-Identifier: Apache-2.0

extension Page {
    /// The one script: clocks, and the demo's buttons and numbers without reloading; everything works without it.
    static let script = #"""
        'use strict';

        // Time left, from the moment at which the page was made.
        const start = performance.now();
        const spell = seconds => seconds < 60 ? `${seconds} s`
          : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
          : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
        setInterval(() => {
          for (const clock of document.querySelectorAll('[data-seconds]')) {
            const passed = Math.floor((performance.now() - start) / 1000);
            clock.textContent = spell(Math.max(0, clock.dataset.seconds - passed));
          }
        }, 1000);

        // The demo's numbers; after an error the next instance is asked.
        const demo = document.getElementById('demo');
        const live = document.getElementById('live');
        const show = ({ strategy, texts }) => {
          if (strategy && strategy !== demo.dataset.strategy) return location.reload();
          for (const [id, text] of Object.entries(texts)) {
            const place = document.getElementById(id);
            if (!place || place.textContent === text) continue;
            place.textContent = text;
            if ('state' in place.dataset) place.dataset.state = text;
          }
        };
        const listen = () => {
          const events = new EventSource('/events');
          events.onopen = () => { live.textContent = 'Live'; };
          events.onmessage = message => show(JSON.parse(message.data));
          events.onerror = () => {
            live.textContent = 'Connecting again …';
            // The browser itself comes back after a lost connection, but not after an error page.
            if (events.readyState === EventSource.CLOSED) setTimeout(listen, 500);
          };
        };
        if (demo) {
          listen();
          demo.addEventListener('submit', event => {
            event.preventDefault();
            const body = new URLSearchParams(new FormData(event.target, event.submitter));
            fetch(event.target.action, { method: 'POST', body, redirect: 'manual' })
              .catch(() => { live.textContent = 'No instance has answered; try again.'; });
          });
        }
        """#

    /// The icon in the browser's tab.
    static let icon = """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#0b6b57" d="M1 6 3 1h10l2 5v1a2 2 0 0 1-4 0 2 2 0 0 1-3 1 2 2 0 0 1-3-1 2 2 0 0 1-4 0z"/><path fill="#4fc3a5" d="M2 10h12v5H2z"/></svg>
        """
}
