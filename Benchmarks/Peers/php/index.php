<?php
// SPDX-License-Identifier: Apache-2.0
// PHP's own sessions with phpredis; settings are in the pool's configuration.
$path = $_SERVER['DOCUMENT_URI'];
header('Content-Type: application/json');
if ($path === '/bare') {
    echo '{"ok":true}';
    return;
}
session_start();
$answer = ['ok' => true];
switch ($path) {
    case '/none':
        break;
    case '/read':
        $answer = ['uid' => $_SESSION['uid'] ?? null, 'n' => $_SESSION['n'] ?? 0];
        break;
    case '/slow':
        usleep(300000);
        // no break: goes on as a write
    case '/write':
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
        break;
    case '/login':
        session_regenerate_id(true);
        $_SESSION = ['uid' => (int) $_GET['uid'], 'name' => str_repeat('x', 60), 'email' => str_repeat('x', 60),
            'csrf' => str_repeat('x', 64), 'n' => 0];
        break;
    case '/logout':
        $_SESSION = [];
        session_destroy();
        break;
    default:
        http_response_code(404);
}
echo json_encode($answer);
