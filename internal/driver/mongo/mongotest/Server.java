import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import org.h2.mvstore.MVStore;

/**
 * The independent server with MongoDB's protocol, on a file. By itself it writes
 * about once a second, behind its answers; here each answer comes after its writes
 * are in the file, so that kill -9 loses none. (It does not sync: power loss would.)
 * One message at a time and its commit: a commit of another's would put half of a
 * write into the file, a document that its index does not know.
 */
public class Server {
    public static void main(String[] args) {
        MVStore store = new MVStore.Builder().fileName(args[0]).autoCommitDisabled().open();
        H2Backend backend = new H2Backend(store) {
            @Override
            public synchronized Document handleMessage(MongoMessage message) {
                try {
                    return super.handleMessage(message);
                } finally {
                    commit();
                }
            }
        };
        // It says 5.0 with the wire version of 4.2, which the Go driver does not take
        // any more; of 4.4's, nothing is used here that the server lacks.
        backend.version(new MongoVersion() {
            @Override
            public List<Integer> getVersionArray() {
                return List.of(4, 4, 0);
            }

            @Override
            public int getWireVersion() {
                return 9;
            }
        });
        new MongoServer(backend).bind("127.0.0.1", Integer.parseInt(args[1]));
    }
}
