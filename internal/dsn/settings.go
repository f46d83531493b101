package dsn

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// settings are what a URL or its keywords say that matters here. The rest is the driver's business.
type settings struct {
	// names of the keywords or of the query, in their order.
	names []string
	// host is true where a host is named.
	host bool
	// passwords that are in it, decoded: that of the login, that of a key.
	passwords []string
	// login is true where one of them is that of the login.
	login bool
}

var (
	errScheme  = errors.New("the scheme is not postgres")
	errPort    = errors.New("a port is not a number from 1 to 65535; if it is part of the password, " + credential.Escapes)
	errNoHost  = errors.New("the host is missing; write it after the @, or use ?host=/directory for a socket")
	errBracket = errors.New("an IPv6 address is not in brackets, expected for example [::1]")
	errQuery   = errors.New("the query is malformed, expected name=value&name=value, with & and = in values written as %26 and %3D")
	errBeside  = errors.New("the query has an unknown or repeated setting beside the password; write & in the password as %26 and = as %3D, and a server setting as options=-c%20name%3Dvalue")
	errKeyword = errors.New("it is neither a URL nor a list of libpq settings (name=value, each name once); write a password with blanks as password='…', with \\' for ' and \\\\ for \\, and a server setting as options='-c name=value'")
)

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)

// read looks at a database URL, or at libpq's keywords, and refuses what can be read in another way too.
func read(text string) (settings, error) {
	found := scheme.FindStringSubmatch(text)
	switch {
	case found == nil:
		return readKeywords(text)
	case found[1] != "postgres" && found[1] != "postgresql":
		return settings{}, errScheme
	}
	return readURL(text[len(found[0]):])
}

// readURL takes what is behind the scheme.
func readURL(rest string) (settings, error) {
	if err := credential.CheckURL(rest); err != nil {
		return settings{}, err
	}
	authority, query, _ := strings.Cut(rest, "?")
	authority, _, _ = strings.Cut(authority, "/")
	s, err := readQuery(query)
	if err != nil {
		return settings{}, err
	}
	user, hosts, ok := strings.Cut(authority, "@")
	if !ok {
		user, hosts = "", authority
	}
	if _, password, _ := strings.Cut(user, ":"); password != "" {
		s.passwords = append(s.passwords, unescape(password))
		s.login = true
	}
	err = s.checkHosts(hosts)
	return s, err
}

// checkHosts takes host:port,host:port. A host that is left out comes from elsewhere, or is missing.
func (s *settings) checkHosts(list string) error {
	hosts := strings.Split(list, ",")
	for _, each := range hosts {
		host, port, _ := strings.Cut(each, ":")
		if strings.HasPrefix(each, "[") {
			address, behind, ok := strings.Cut(each[1:], "]")
			if !ok || behind != "" && !strings.HasPrefix(behind, ":") {
				return errBracket
			}
			host, port = address, strings.TrimPrefix(behind, ":")
		}
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return errPort
		}
		if host == "" && (len(hosts) > 1 || !s.hostElsewhere()) {
			return errNoHost
		}
	}
	return nil
}

func (s *settings) hostElsewhere() bool {
	return s.host || slices.Contains(s.names, "service") || os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != ""
}

func readQuery(query string) (s settings, _ error) {
	if query == "" {
		return s, nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(value, "=") {
			return s, errQuery
		}
		s.add(unescape(name), unescape(value))
	}
	if len(s.passwords) > 0 && !s.known() {
		return s, errBeside
	}
	return s, nil
}

// unescape takes what CheckURL has passed. Unlike net/url's it leaves a plus as it is, as libpq does.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// readKeywords reads name = value as libpq does: a value with blanks is in single quotes, and a backslash takes what follows as it is.
func readKeywords(text string) (s settings, _ error) {
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return s, errKeyword
		}
		value, rest, ok := keywordValue(strings.TrimLeft(rest, " "))
		if !ok {
			return s, errKeyword
		}
		s.add(strings.TrimSpace(name), value)
		text = strings.TrimLeft(rest, " ")
	}
	if !s.known() {
		return s, errKeyword
	}
	return s, nil
}

// keywordValue reads a value and returns what is behind it.
func keywordValue(text string) (value, rest string, ok bool) {
	end := byte(' ')
	text, inQuotes := strings.CutPrefix(text, "'")
	if inQuotes {
		end = '\''
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == end && inQuotes:
			return b.String(), text[i+1:], true
		case text[i] == end:
			return b.String(), text[i:], true
		case text[i] == '\\':
			if i++; i == len(text) {
				return b.String(), "", !inQuotes
			}
		}
		b.WriteByte(text[i])
	}
	return b.String(), "", !inQuotes
}

func (s *settings) add(name, value string) {
	s.names = append(s.names, name)
	switch name {
	case "host":
		s.host = value != ""
	case "password":
		s.passwords = append(s.passwords, value)
		s.login = s.login || value != ""
	case "sslpassword":
		s.passwords = append(s.passwords, value)
	}
}

// known reports whether every name is one of libpq, of the driver, or a setting of the server that clients use, and there once.
func (s *settings) known() bool {
	for i, name := range s.names {
		if !slices.Contains(knownNames, name) || slices.Contains(s.names[:i], name) {
			return false
		}
	}
	return true
}

// knownNames are what may be beside a password. Whatever else is there may be a part of it.
var knownNames = strings.Fields(`
	host hostaddr port dbname database user password passfile require_auth channel_binding connect_timeout client_encoding options
	application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout replication
	gssencmode gssdelegation gsslib krbsrvname krbspn service servicefile target_session_attrs load_balance_hosts
	ssl sslmode sslnegotiation sslcompression sslcert sslkey sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requiressl requirepeer
	ssl_min_protocol_version ssl_max_protocol_version min_protocol_version max_protocol_version

	pool_max_conns pool_min_conns pool_min_idle_conns pool_max_conn_lifetime pool_max_conn_lifetime_jitter pool_max_conn_idle_time pool_health_check_period
	pool_ping_timeout statement_cache_capacity description_cache_capacity default_query_exec_mode

	search_path role timezone datestyle intervalstyle standard_conforming_strings synchronous_commit work_mem
	statement_timeout lock_timeout transaction_timeout idle_in_transaction_session_timeout idle_session_timeout
	default_transaction_isolation default_transaction_read_only tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count`)
